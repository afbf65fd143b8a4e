"""Every file that configures a device is read by the program that it is for, or checked line by line."""

from __future__ import annotations

import configparser
import getpass
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from edgeflow.cameras.genicam.features import read_features
from edgeflow.collector.settings import load_collector_config
from edgeflow.config.box import BoxConfig, GenicamConfig, RtspConfig, V4l2Config, load_config
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.diagnostics.bandwidth import box_loads
from edgeflow.diagnostics.cameras.check_cameras import source_findings
from edgeflow.fleet.statuses import StatusSink, collect
from edgeflow.mqtt.broker.login import Login, parse_url
from edgeflow.station.process.shutdown import STOP_LIMIT_S
from tests.support.waiting import PATIENCE_S, wait_until

FIRMWARE = Path(__file__).resolve().parents[3] / "firmware_configs"
BOXES = {
    "boxes/replay.yaml": 5,
    "boxes/usb1.yaml": 1,
    "boxes/usb5.yaml": 5,
    "boxes/gige5.yaml": 5,
    "boxes/rtsp.yaml": 5,
    "boxes/mixed8.yaml": 8,
}  # cameras of each
UNIT = "systemd/edgeflow.service"
PAGE_UNIT = "systemd/edgeflow-web.service"
OPCUA_UNIT, MODBUS_UNIT = "systemd/edgeflow-opcua.service", "systemd/edgeflow-modbus.service"
FLEET_UNIT = "systemd/edgeflow-fleet.service"
BROKER, BROKER_LAN, BROKER_ACL = (
    "mosquitto/edgeflow.conf",
    "mosquitto/edgeflow-lan.conf",
    "mosquitto/edgeflow-lan.acl",
)
RULES = "udev/99-edgeflow-cameras.rules"
VISION_RULES = "udev/60-edgeflow-usb3-vision.rules"
CLOCK = "chrony/edgeflow.conf"
BUFFERS = "network/90-edgeflow-gige.conf"
NETWORK = ("network/10-edgeflow-gige.link", "network/20-edgeflow-gige.network")
PTP = "ptp/edgeflow-ptp4l.conf"
UPLOAD_UNIT = "systemd/edgeflow-evidence-upload.service"
COLLECTOR, COLLECTOR_UNIT = "collector/collector.yaml", "systemd/edgeflow-collector.service"
PLC = {"plc/README.md", "plc/node-red-flow.json"}  # read by tests/tools/test_plc_files.py
PROMETHEUS = {"prometheus/prometheus.yml", "prometheus/edgeflow-alerts.yml"}  # by test_metrics.py
DASHBOARD = {
    "grafana/edgeflow-dashboard.json",
    "grafana/edgeflow-results.json",
}  # by test_metrics, test_dashboard
CAMERAS = ("cameras/aravis-fake.yaml", "cameras/area-colour.yaml", "cameras/area-mono.yaml")
LOADED = {
    *BOXES,
    *CAMERAS,
    UNIT,
    PAGE_UNIT,
    COLLECTOR,
    COLLECTOR_UNIT,
    OPCUA_UNIT,
    MODBUS_UNIT,
    UPLOAD_UNIT,
    FLEET_UNIT,
    BROKER,
    BROKER_LAN,
    BROKER_ACL,
    RULES,
    VISION_RULES,
    CLOCK,
    BUFFERS,
    *NETWORK,
    PTP,
    *PLC,
    *PROMETHEUS,
    *DASHBOARD,
}
SYSTEM_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def text(name: str) -> str:
    return (FIRMWARE / name).read_text("utf-8")


def settings(name: str) -> list[list[str]]:
    """The words of every line that is no comment."""
    return [line.split() for line in text(name).splitlines() if line.strip() and not line.startswith("#")]


def program(name: str) -> str | None:
    return shutil.which(name, path=SYSTEM_PATH)


def test_every_device_file_is_loaded_here() -> None:
    present = {str(file.relative_to(FIRMWARE)) for file in FIRMWARE.rglob("*") if file.is_file()}
    assert present == LOADED


@pytest.mark.parametrize("name", sorted(LOADED - set(BOXES) - PLC - DASHBOARD))
def test_every_device_file_says_where_it_belongs_and_why(name: str) -> None:
    comments = [line for line in text(name).splitlines() if line.startswith("#")]
    assert len(comments) >= 3


# Boxes


def box(name: str) -> BoxConfig:
    return load_config(FIRMWARE / name)


@pytest.mark.parametrize("name", BOXES)
def test_a_box_file_is_complete_and_its_times_fit_together(name: str) -> None:
    config = box(name)
    assert len(config.cameras) == BOXES[name]
    assert config.evidence is not None
    assert config.trigger.timeout_ms < config.decision.deadline_ms
    assert config.sync.max_skew_ms < config.trigger.timeout_ms
    if config.trigger.period_ms is not None:
        assert config.trigger.timeout_ms < config.trigger.period_ms


@pytest.mark.parametrize("name", BOXES)
def test_a_box_file_gives_a_reason_in_every_section(name: str) -> None:
    sections = re.split(r"^(?=[a-z]+:)", text(name), flags=re.MULTILINE)
    timing = [part for part in sections if part.startswith(("trigger:", "sync:", "decision:"))]
    assert len(timing) == 3
    assert all(" # " in part for part in timing)


@pytest.mark.parametrize("name", BOXES)
def test_a_box_writes_only_where_its_service_may(name: str) -> None:
    config, service = box(name), unit()["Service"]
    state = Path("/var/lib") / service["StateDirectory"]
    assert config.evidence is not None
    assert config.outbox.path.is_relative_to(state)
    assert config.evidence.dir.is_relative_to(state)
    assert config.runtime.cache_dir == Path("/var/cache") / service["CacheDirectory"]


def test_a_boxs_feature_files_ship_and_its_cameras_fit_their_links() -> None:
    for name in BOXES:
        config = box(name)
        kinds = [c for c in config.cameras.values() if isinstance(c, GenicamConfig)]
        for camera in kinds:
            assert camera.features is not None
            assert f"cameras/{camera.features.name}" in CAMERAS
        shipped = {
            view: camera.model_copy(update={"features": FIRMWARE / "cameras" / camera.features.name})
            if isinstance(camera, GenicamConfig) and camera.features
            else camera
            for view, camera in config.cameras.items()
        }
        loads = box_loads(config.model_copy(update={"cameras": shipped}))
        assert all(load.total <= load.capacity for load in loads)
        assert list(source_findings(config)) == []


def test_the_hardware_triggered_box_leaves_room_for_neither_mistake() -> None:
    config = box("boxes/gige5.yaml")
    part_ms = config.decision.valid_ms
    assert config.trigger.part_id_window_ms is not None
    assert config.trigger.part_id_window_ms < part_ms / 2
    assert config.sync.window_ms is not None
    assert config.sync.max_skew_ms < config.sync.window_ms < part_ms


def test_usb_cameras_have_names_that_stay_and_rtsp_cameras_no_password() -> None:
    usb = [camera for camera in box("boxes/usb5.yaml").cameras.values() if isinstance(camera, V4l2Config)]
    assert len({camera.device for camera in usb}) == 5
    assert all(camera.device.startswith("/dev/v4l/by-id/") for camera in usb)
    rtsp = [camera for camera in box("boxes/rtsp.yaml").cameras.values() if isinstance(camera, RtspConfig)]
    assert len({camera.url for camera in rtsp}) == 5
    assert all(re.fullmatch(r"rtsp://[0-9.]+:554/\w+", camera.url) for camera in rtsp)


@pytest.mark.parametrize("name", CAMERAS)
def test_camera_features_fix_what_an_automatic_would_change(name: str) -> None:
    features = read_features(FIRMWARE / name)
    assert "PixelFormat" in features
    assert any(feature.startswith("Exposure") for feature in features)
    assert all(value == "Off" for feature, value in features.items() if feature.endswith("Auto"))
    assert set(features) <= {line.split(":")[0].strip() for line in text(name).splitlines()}


# systemd


def unit(name: str = UNIT) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)  # a key may come twice
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text(name))
    return parser


def test_the_service_restarts_for_ever_under_its_own_user() -> None:
    parsed = unit()
    assert parsed.sections() == ["Unit", "Service", "Install"]
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0"
    service = parsed["Service"]
    assert (service["Type"], service["Restart"], service["User"]) == ("notify", "always", "edgeflow")
    assert service["NoNewPrivileges"] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert "char-video4linux rw" in text(UNIT)
    assert parsed["Install"]["WantedBy"] == "multi-user.target"


def test_the_service_watches_the_box_and_lets_it_end_in_order() -> None:
    service = unit()["Service"]
    assert service["NotifyAccess"] == "main"
    assert 10 <= float(service["WatchdogSec"]) <= 60
    assert service["WatchdogSignal"] == "SIGTERM", "another one would end the box without a word"
    assert float(service["TimeoutStopSec"]) >= STOP_LIMIT_S + 5
    assert float(service["TimeoutStartSec"]) >= 30


def test_the_service_starts_a_command_that_exists() -> None:
    _, *arguments = unit()["Service"]["ExecStart"].split()
    assert arguments == ["run", "--quiet", "/etc/edgeflow/box.yaml"]
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", arguments[0], "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert arguments[1] in done.stdout


@pytest.mark.parametrize(
    ("name", "command"), [(PAGE_UNIT, "web"), (OPCUA_UNIT, "opcua"), (MODBUS_UNIT, "modbus")]
)
def test_what_serves_people_is_the_boxs_user_and_the_first_to_go_when_memory_runs_out(
    name: str, command: str
) -> None:
    box_service, service = unit()["Service"], unit(name)["Service"]
    assert (service["User"], service["StateDirectory"]) == (
        box_service["User"],
        box_service["StateDirectory"],
    )
    assert int(service["OOMScoreAdjust"]) > 0 > int(box_service["OOMScoreAdjust"])
    assert int(service["Nice"]) > 0
    _, *arguments = service["ExecStart"].split()
    assert arguments == [command, "/etc/edgeflow/box.yaml"]


def verified_unit(folder: Path, content: str) -> str:
    """Complaints of systemd about a unit."""
    analyze = program("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze here; the unit's sections and keys were checked all the same")
    file = folder / "edgeflow.service"
    file.write_text(content)
    done = subprocess.run([analyze, "verify", str(file)], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", [UNIT, PAGE_UNIT, COLLECTOR_UNIT, OPCUA_UNIT, MODBUS_UNIT, UPLOAD_UNIT, FLEET_UNIT]
)
def test_systemd_accepts_the_service(tmp_path: Path, name: str) -> None:
    content = text(name).replace("/opt/edgeflow/bin/edgeflow", shutil.which("true") or "/bin/true")
    assert verified_unit(tmp_path, content) == ""
    broken = content.replace("ProtectSystem=strict", "ProtectSystm=strict")
    assert "ProtectSystm" in verified_unit(tmp_path, broken)


# Mosquitto


@dataclass(frozen=True, kw_only=True)
class Client:
    """A connected MQTT client and what it has received."""

    paho: paho.Client
    received: list[str]


@contextmanager
def mosquitto(folder: Path, content: str) -> Iterator[int]:
    """Mosquitto with the directives of ``content``, on a free loopback port."""
    server = program("mosquitto")
    if server is None:
        pytest.skip("no mosquitto here; run: sh tools/system_packages.sh broker")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    content, count = re.subn(r"^listener .*$", f"listener {port} 127.0.0.1", content, flags=re.MULTILINE)
    assert count == 1
    file, log = folder / "mosquitto.conf", folder / "mosquitto.log"
    # As root Mosquitto would become the user mosquitto, who cannot read the test's folder.
    file.write_text(f"user {getpass.getuser()}\npersistence_location {folder}/\n{content}")
    with log.open("wb") as output:
        process = subprocess.Popen([server, "-c", str(file)], stdout=output, stderr=output)
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, what="mosquitto does not start")
        assert process.poll() is None, log.read_text()
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
    # With an unknown or doubled setting it does not start; of an outdated one it warns.
    warned = [line for line in log.read_text().splitlines() if re.search("(?i)warning|deprecated", line)]
    assert [line for line in warned if "should not be run as root" not in line] == []


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


@contextmanager
def client(
    port: int, user: str | None = None, password: str = "", ca: Path | None = None, client_id: str = ""
) -> Iterator[Client | None]:
    """A client that is connected, or None when the broker refused it."""
    handle = paho.Client(
        CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, reconnect_on_failure=False
    )
    answers: list[bool] = []
    received: list[str] = []
    handle.on_connect = lambda _c, _u, _f, reason, _p: answers.append(not reason.is_failure)
    handle.on_message = lambda _c, _u, message: received.append(message.topic)
    if user:
        handle.username_pw_set(user, password)
    if ca:
        handle.tls_set_context(ssl.create_default_context(cafile=str(ca)))
    handle.connect("127.0.0.1" if ca is None else "localhost", port)
    handle.loop_start()
    try:
        wait_until(lambda: bool(answers), what="the broker does not answer")
        yield Client(paho=handle, received=received) if answers[0] else None
    finally:
        handle.disconnect()
        handle.loop_stop()


def subscribe(subscriber: Client, topic: str) -> None:
    done: list[bool] = []
    subscriber.paho.on_subscribe = lambda *_: done.append(True)
    subscriber.paho.subscribe(topic, qos=1)
    wait_until(lambda: bool(done), what="no answer to subscribe")


def publish(publisher: Client, topic: str) -> None:
    publisher.paho.publish(topic, b"{}", qos=1).wait_for_publish(PATIENCE_S)


def test_the_boxs_own_broker_carries_messages_on_loopback_only(tmp_path: Path) -> None:
    assert ["listener", "1883", "127.0.0.1"] in settings(BROKER)
    with mosquitto(tmp_path, text(BROKER)) as port, client(port) as one, client(port) as other:
        assert one is not None
        assert other is not None
        subscribe(one, "edgeflow/v1/#")
        publish(other, "edgeflow/v1/plant1/l3/s2/decision")
        wait_until(
            lambda: one.received == ["edgeflow/v1/plant1/l3/s2/decision"], what="the message did not come"
        )


def test_both_brokers_agree_on_everything_but_who_gets_in() -> None:
    access = {
        "listener", "allow_anonymous", "certfile", "keyfile", "tls_version", "password_file", "acl_file",
        "use_username_as_clientid",
    }  # fmt: skip
    common = [[line for line in settings(name) if line[0] not in access] for name in (BROKER, BROKER_LAN)]
    assert common[0] == common[1]
    assert ["set_tcp_nodelay", "true"] in common[0]


@pytest.fixture
def lan(tmp_path: Path) -> tuple[str, Path]:
    """The plant's broker with a certificate and users of our own; its directives and the certificate."""
    tools = {name: program(name) for name in ("mosquitto", "mosquitto_passwd", "openssl")}
    missing = [name for name, found in tools.items() if found is None]
    if missing:
        pytest.skip(f"no {', '.join(missing)} here; run: sh tools/system_packages.sh broker")
    certificate, key, users = tmp_path / "server.pem", tmp_path / "server.key", tmp_path / "passwd"
    subprocess.run(
        [str(tools["openssl"]), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-out", str(certificate),
         "-keyout", str(key)],
        check=True, capture_output=True,
    )  # fmt: skip
    users.touch()
    for user in ("box-l3-s2", "box-l3-s3", "controller-l3", "quality", "fleet-l3-s2", "fleet-office"):
        add = [str(tools["mosquitto_passwd"]), "-b", str(users), user, f"{user}-secret"]
        subprocess.run(add, check=True, capture_output=True)
    content = text(BROKER_LAN)
    for installed, own in (
        ("/etc/mosquitto/certs/server.pem", certificate),
        ("/etc/mosquitto/certs/server.key", key),
        ("/etc/mosquitto/edgeflow.passwd", users),
        ("/etc/mosquitto/edgeflow.acl", FIRMWARE / BROKER_ACL),
    ):
        assert f" {installed}\n" in content
        content = content.replace(f" {installed}\n", f" {own}\n")
    return content, certificate


def test_the_plants_broker_lets_in_only_known_users(lan: tuple[str, Path], tmp_path: Path) -> None:
    content, ca = lan
    with mosquitto(tmp_path, content) as port:
        for user, password in ((None, ""), ("quality", "wrong"), ("nobody", "quality-secret")):
            with client(port, user, password, ca) as refused:
                assert refused is None
        with client(port, "quality", "quality-secret", ca) as known:
            assert known is not None


def test_on_the_plants_broker_only_the_box_itself_decides(lan: tuple[str, Path], tmp_path: Path) -> None:
    content, ca = lan
    own, other = "edgeflow/v1/plant1/l3/s2", "edgeflow/v1/plant1/l3/s3"
    with (
        mosquitto(tmp_path, content) as port,
        client(port, "box-l3-s2", "box-l3-s2-secret", ca) as station,
        client(port, "controller-l3", "controller-l3-secret", ca) as line,
    ):
        assert station is not None
        assert line is not None
        subscribe(line, "edgeflow/v1/plant1/l3/#")
        for topic in (f"{own}/trigger", f"{own}/result/ack", f"{own}/cmd/#"):
            subscribe(station, topic)
        publish(station, f"{other}/decision")  # of another box
        publish(line, f"{own}/decision")  # of a box, by the line
        publish(station, f"{own}/decision")
        publish(station, f"{own}/result")
        for topic in (f"{own}/trigger", f"{own}/result/ack", f"{own}/cmd/stop"):
            publish(line, topic)
        wait_until(lambda: len(station.received) == 3, what="the box did not hear the line")
        wait_until(lambda: len(line.received) == 5, what="the line did not hear everything")
        assert station.received == [f"{own}/trigger", f"{own}/result/ack", f"{own}/cmd/stop"]
        assert sorted(line.received) == sorted([f"{own}/decision", f"{own}/result", *station.received])


def test_a_controller_commands_its_own_line_only_and_the_database_none(
    lan: tuple[str, Path], tmp_path: Path
) -> None:
    content, ca = lan
    # A station of the neighbouring line, and one that may do what its neighbour may, in its own name.
    acl = tmp_path / "acl"
    acl.write_text(text(BROKER_ACL) + "\nuser box-l3-s3\ntopic readwrite edgeflow/v1/plant1/l4/s1/#\n")
    content = content.replace(str(FIRMWARE / BROKER_ACL), str(acl))
    neighbour = "edgeflow/v1/plant1/l4/s1"
    with (
        mosquitto(tmp_path, content) as port,
        client(port, "box-l3-s3", "box-l3-s3-secret", ca) as station,
        client(port, "controller-l3", "controller-l3-secret", ca) as controller,
        client(port, "quality", "quality-secret", ca) as quality,
    ):
        assert station is not None
        assert controller is not None
        assert quality is not None
        subscribe(station, f"{neighbour}/#")
        subscribe(controller, "edgeflow/v1/plant1/l3/#")
        for topic in ("cmd/stop", "trigger", "decision", "availability", "alarm/outbox", "result/ack"):
            publish(controller, f"{neighbour}/{topic}")
        for topic in ("cmd/stop", "trigger", "decision", "state"):
            publish(quality, f"{neighbour}/{topic}")
            publish(quality, f"edgeflow/v1/plant1/l3/s2/{topic}")
        publish(quality, f"{neighbour}/result/ack")
        wait_until(lambda: bool(station.received), what="the acknowledgement did not come")
        assert station.received == [f"{neighbour}/result/ack"]
        assert controller.received == []


def test_nobody_takes_over_the_boxs_client_id(lan: tuple[str, Path], tmp_path: Path) -> None:
    content, ca = lan
    own = "edgeflow/v1/plant1/l3/s2"
    with (
        mosquitto(tmp_path, content) as port,
        client(port, "box-l3-s2", "box-l3-s2-secret", ca, client_id="edgeflow-plant1-l3-s2") as station,
    ):
        assert station is not None
        subscribe(station, f"{own}/cmd/#")
        for stolen in ("edgeflow-plant1-l3-s2", "box-l3-s2"):
            with client(port, "controller-l3", "controller-l3-secret", ca, client_id=stolen) as intruder:
                assert intruder is not None
                publish(intruder, f"{own}/cmd/stop")
        wait_until(lambda: len(station.received) == 2, what="the box lost its connection")
        assert station.paho.is_connected()


def test_a_fleets_agent_reports_for_its_own_station_and_no_other(
    lan: tuple[str, Path], tmp_path: Path
) -> None:
    content, ca = lan
    for user in ("fleet-l3-s2", "fleet-office"):
        (tmp_path / user).write_text(f"{user}-secret")

    def agent(port: int, station: str) -> StatusSink:
        """An agent with the user of s2, which says that it is at a station."""
        plain = yaml.safe_load((FIRMWARE / "boxes" / "replay.yaml").read_text())
        plain["station"] = {"site": "plant1", "line": "l3", "station": station}
        plain["mqtt"] = {"host": "localhost", "port": port, "tls": {"ca": str(ca)}, "username": "box-l3-s2"}
        plain["fleet"] = {
            "repository": "https://updates.plant.example", "root": "root.json", "group": "canary",
            "username": "fleet-l3-s2", "password_file": str(tmp_path / "fleet-l3-s2"),
        }  # fmt: skip
        file = tmp_path / f"{station}.yaml"
        file.write_text(yaml.safe_dump(plain))
        return StatusSink(config=load_config(file))

    def told(box: str) -> FleetStatus:
        return FleetStatus(box=box, group="canary", phase="good", at="2026-11-29T10:00:00.000Z")

    with (
        mosquitto(tmp_path, content) as port,
        client(port, "box-l3-s2", "box-l3-s2-secret", ca) as station,
    ):
        assert station is not None
        agent(port, "s3").tell(told("forged"))
        agent(port, "s2").tell(told("own"))
        url = parse_url(f"mqtts://fleet-office:fleet-office-secret@localhost:{port}")
        found = collect(Login(url=url, ca=ca), "edgeflow/v1/+/+/+/fleet")
        assert [one.box for one in found] == ["own"]
        assert station.paho.is_connected(), "the agent has not taken the box's place at the broker"


def test_the_boxs_user_may_use_every_topic_of_the_box_that_it_is_made_for() -> None:
    config = box("boxes/usb5.yaml")
    lines = text(BROKER_ACL)
    assert f"user {config.mqtt.username}\ntopic write {config.topic_root}/#\n" in lines


# udev


RULE = re.compile(
    r'(?:(?:ACTION|SUBSYSTEM|ATTR\{[a-z/_]+\}|ENV\{[A-Z_]+\})==|(?:SYMLINK\+=|GROUP=|MODE=|ATTR\{[a-z/_]+\}=)(?!=))"[^"]+"'
)


def test_camera_rules_are_well_formed() -> None:
    rules = [line for line in text(RULES).splitlines() if line and not line.startswith("#")]
    for rule in rules:
        parts = rule.split(", ")
        assert all(RULE.fullmatch(part) for part in parts), rule
        assert sum("==" not in part for part in parts) == 1, "a rule matches, then does one thing"
    udevadm = program("udevadm")
    if udevadm and "verify" in subprocess.run([udevadm, "--help"], capture_output=True, text=True).stdout:  # noqa: PLW1510
        subprocess.run([udevadm, "verify", str(FIRMWARE / RULES)], check=True, capture_output=True)


def test_camera_rules_give_every_view_of_the_usb_box_a_name_of_its_own() -> None:
    names = re.findall(r'SYMLINK\+="edgeflow/camera-(\w+)"', text(RULES))
    sockets = re.findall(r'ENV\{ID_PATH\}=="([^"]+)"', text(RULES))
    assert set(names) == set(box("boxes/usb5.yaml").cameras)
    assert len(names) == len(set(sockets)) == len(sockets)


# Network and clocks of GigE cameras


def ini(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text(name))
    return parser


def test_receive_buffers_are_settings_that_the_kernel_knows_and_hold_images() -> None:
    values = {name: int(value) for name, _, value in settings(BUFFERS)}
    assert values["net.core.rmem_max"] >= 2 * 5 * 2**20, "an image of 5 MB, twice over"
    assert values["net.core.rmem_default"] <= values["net.core.rmem_max"]
    for name in values:
        file = Path("/proc/sys") / name.replace(".", "/")
        assert file.is_file() or not file.parent.is_dir() or name.startswith("net.core.rmem")


def test_the_cameras_network_carries_the_packets_that_the_box_asks_for() -> None:
    link, network = ini(NETWORK[0]), ini(NETWORK[1])
    assert link.sections() == ["Match", "Link"]
    assert set(link["Link"]) == {"Name", "MTUBytes", "RxBufferSize", "RxCoalesceSec"}
    assert network["Match"]["Name"] == link["Link"]["Name"]
    cameras = [c for c in box("boxes/gige5.yaml").cameras.values() if isinstance(c, GenicamConfig)]
    assert all(isinstance(c.packet_size, int) for c in cameras)
    assert max(int(c.packet_size or 0) for c in cameras) < int(link["Link"]["MTUBytes"])
    assert network["Network"]["Address"].endswith("/24")
    assert network["Network"]["IPForward"] == "no"


def test_five_cameras_at_full_packet_delay_fit_the_link() -> None:
    cameras = [c for c in box("boxes/gige5.yaml").cameras.values() if isinstance(c, GenicamConfig)]
    rates = [
        int(c.packet_size or 0) * 1e9 / ((c.packet_delay_ns or 0) + int(c.packet_size or 0) * 8.7)
        for c in cameras
    ]
    assert 80e6 < sum(rates) <= 116e6, "bytes/s: most of a gigabit, not more"


def test_the_cameras_clocks_follow_the_box() -> None:
    lines = settings(PTP)
    assert ["[global]"] in lines
    assert [f"[{ini(NETWORK[0])['Link']['Name']}]"] in lines
    values = {line[0]: line[1] for line in lines if len(line) == 2}
    assert int(values["priority1"]) < 128, "the default of every other clock"
    ptp4l = program("ptp4l")
    if ptp4l:
        done = subprocess.run(
            [ptp4l, "-f", str(FIRMWARE / PTP), "--help"], capture_output=True, text=True, check=False
        )
        assert "unknown option" not in done.stderr


# chrony


def test_the_clock_has_a_source_and_may_jump() -> None:
    known = {"server": r"[\w.-]+ iburst", "makestep": r"[0-9.]+ -?[0-9]+", "rtcsync": ""}
    lines = settings(CLOCK)
    for name, *arguments in lines:
        assert re.fullmatch(known[name], " ".join(arguments))
    assert {name for name, *_ in lines} == set(known)
    chronyd = program("chronyd")
    if chronyd:
        subprocess.run([chronyd, "-p", "-f", str(FIRMWARE / CLOCK)], check=True, capture_output=True)


def test_the_collectors_file_is_read_with_either_database(tmp_path: Path) -> None:
    found = load_collector_config(FIRMWARE / COLLECTOR)
    assert found.store.kind == "sqlite"
    lines = text(COLLECTOR).splitlines()
    begin = lines.index("store:")
    other = [line.removeprefix("# ") for line in lines[begin + 3 : begin + 7]]
    (tmp_path / "collector.yaml").write_text("\n".join([*lines[:begin], *other, *lines[begin + 7 :]]))
    assert load_collector_config(tmp_path / "collector.yaml").store.kind == "postgresql"
