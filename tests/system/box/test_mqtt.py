"""The link against a real broker: presence, retained documents, decisions that never come twice."""

from __future__ import annotations

import json
import logging
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgeflow.alarms import Alarms
from edgeflow.clock import utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import (
    Alarm,
    Birth,
    BundleInfo,
    CameraInfo,
    CameraStatus,
    Decision,
    Metrics,
    State,
    from_json,
    to_json,
)
from edgeflow.contracts.sealing import is_sealed
from edgeflow.errors import ConfigError
from edgeflow.mqtt.events import Acked, LinkEvent
from edgeflow.mqtt.home_assistant import discovery
from edgeflow.mqtt.link import MqttLink
from edgeflow.mqtt.subscriptions import Incoming
from edgeflow.security.keys import new_key, read_public_key
from tests.support.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

ROOT = "edgeflow/v1/plant1/l3/s2"
GOLDEN = Path(__file__).parents[2] / "golden" / "2026-11-29" / "messages"
METRICS = from_json(Metrics, (GOLDEN / "metrics-01.json").read_bytes())
Clients = Callable[[str], "Client"]
Boxes = Callable[..., BoxConfig]
Until = Callable[[Callable[[], bool]], None]


def decision(number: int) -> Decision:
    return Decision(
        result_id=f"r-{number}",
        trigger_id=f"t-{number}",
        part_id="p",
        verdict="OK",
        reason="",
        seq=number,
        session="session-a",
        acquired_at=utc_text(),
        deadline_ms=250.0,
        valid_until=utc_text(),
    )


def state(detail: str) -> State:
    return State(
        session="session-a", state="Ready", detail=detail, recipe="bracket", ready=True, at=utc_text()
    )


def birth() -> Birth:
    bundle = BundleInfo(name="bracket", sha256="0" * 64, backend="openvino", precision="int8")
    return Birth(
        session="session-a",
        edgeflow_version="0",
        bundle=bundle,
        config_sha256="0" * 64,
        cameras=(CameraInfo(view="top", kind="replay", source="parts"),),
        message_schemas=("edgeflow/result/1",),
        at=utc_text(),
    )


@pytest.fixture
def link_with(box_config: Boxes) -> Iterator[Callable[..., MqttLink]]:
    """A factory of started links; keywords go to the box's ``mqtt`` section."""
    made: list[MqttLink] = []

    def make(**mqtt: object) -> MqttLink:
        made.append(MqttLink(box_config(**mqtt), "session-a"))
        made[-1].start()
        return made[-1]

    yield make
    for link in made:
        link.stop()


Links = Callable[..., MqttLink]


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_box_announces_itself_and_says_goodbye(version: str, client: Clients, box_config: Boxes) -> None:
    link = MqttLink(box_config(version=version), "session-a")
    told = birth()
    link.publish_birth(told)
    link.publish_state(state("starting"))
    link.publish_camera_status(CameraStatus(session="s", view="top", status="online", at=utc_text()))
    watcher = client(f"{ROOT}/#")
    link.start()
    watcher.wait(lambda: len(watcher.messages) == 4)
    late = client(f"{ROOT}/#")
    late.wait(lambda: len(late.messages) == 4)
    assert {m.topic.removeprefix(ROOT) for m in late.messages if m.retain} == {
        "/availability",
        "/birth",
        "/state",
        "/camera/top/status",
    }
    assert from_json(Birth, late.payloads("/birth")[0].encode()) == told
    assert late.payloads("/availability") == ["online"]
    link.stop()
    assert not link.connected
    watcher.wait_for("/availability", "stopped")
    assert watcher.payloads("/availability") == ["online", "stopped"]  # no last will after a goodbye


def test_alarms_are_retained_until_cleared_also_over_a_broker_that_forgot(
    broker: Broker, client: Clients, box_config: Boxes, link_with: Links, until: Until
) -> None:
    link = link_with()
    alarms = Alarms("session-a", link)
    alarms.raise_("outbox", "error", "disk full")
    alarms.raise_("camera_stale", "error", "pulled", subject="top")
    watcher = client(f"{ROOT}/alarm/#")
    watcher.wait(lambda: len(watcher.messages) >= 2)
    alarms.clear("outbox")
    watcher.wait_for("/alarm/outbox", "")
    broker.kill()
    broker.start()
    watcher.wait_until_subscribed(2)
    until(lambda: link.connected)
    watcher.wait(lambda: len(watcher.payloads("/alarm/camera_stale.top")) >= 2)
    late = client(f"{ROOT}/alarm/#")
    late.wait(lambda: len(late.messages) >= 1)
    assert [message.topic for message in late.messages] == [f"{ROOT}/alarm/camera_stale.top"]
    alarm = from_json(Alarm, late.messages[0].payload)
    assert (alarm.severity, alarm.text, alarm.session) == ("error", "pulled", "session-a")


def test_alarms_of_a_session_that_crashed_are_over_unless_they_stand(
    client: Clients, box_config: Boxes, link_with: Links
) -> None:
    watcher = client(f"{ROOT}/alarm/#")
    old = Alarm(
        session="before", code="outbox", severity="error", text="disk full", since="2026-03-04T10:11:12.0Z"
    )
    for name in ("outbox", "evidence_stopped"):
        watcher.publish(f"{ROOT}/alarm/{name}", to_json(old), retain=True)
        watcher.wait_for(f"/alarm/{name}", to_json(old).decode())
    link = MqttLink(box_config(), "session-a")
    Alarms("session-a", link).raise_("outbox", "error", "disk full again")
    link.start()
    watcher.wait_for("/alarm/evidence_stopped", "")
    watcher.wait(lambda: "again" in watcher.payloads("/alarm/outbox")[-1])
    assert "" not in watcher.payloads("/alarm/outbox")
    link.stop()


def test_a_decision_is_told_in_one_short_line_too_where_the_box_file_wants_it(
    client: Clients, box_config: Boxes, until: Until
) -> None:
    watcher = client(f"{ROOT}/#")
    config = box_config()
    short = config.decision.model_copy(update={"compact": True})
    link = MqttLink(config.model_copy(update={"decision": short}), "session-a")
    link.start()
    until(lambda: link.connected)
    told = decision(17).model_copy(update={"reason_code": "ok", "trigger_id": "Teil;ü 17"})
    assert link.publish_decision(told)
    watcher.wait(lambda: len(watcher.payloads("/decision/compact")) == 1)
    assert watcher.payloads("/decision/compact") == ["OK;ok;17;Teil;ü 17"]
    (line,) = [m for m in watcher.messages if m.topic.endswith("/compact")]
    assert (line.retain, line.properties.ContentType, line.properties.MessageExpiryInterval) == (
        False, "text/plain", 1,
    )  # fmt: skip
    assert len(watcher.payloads("/decision")) == 1
    link.stop()


def test_without_the_setting_there_is_no_short_line(client: Clients, link_with: Links, until: Until) -> None:
    watcher = client(f"{ROOT}/#")
    link = link_with()
    until(lambda: link.connected)
    assert link.publish_decision(decision(1))
    assert link.publish_decision(decision(2))
    watcher.wait(lambda: len(watcher.payloads("/decision")) == 2)
    assert watcher.payloads("/decision/compact") == []


@pytest.mark.parametrize("kind", ["secret_file", "key_file"])
def test_a_sealed_decision_is_proven_by_its_reader_and_shows_any_change(
    kind: str, client: Clients, link_with: Links, until: Until, tmp_path: Path
) -> None:
    (tmp_path / "shared").write_text("a secret of this line\n")
    pair = new_key(tmp_path / "box", None)
    file, key = {
        "secret_file": (tmp_path / "shared", b"a secret of this line"),
        "key_file": (pair.private, read_public_key(pair.public)),
    }[kind]
    watcher = client(f"{ROOT}/decision")
    link = link_with(seal={kind: str(file)})
    until(lambda: link.connected)
    assert link.publish_decision(decision(1))
    watcher.wait(lambda: len(watcher.messages) == 1)
    seen = json.loads(watcher.messages[0].payload)
    assert is_sealed(seen, key)
    text = json.dumps(seen | {"deadline_ms": 250}, sort_keys=True)  # as a reader in another language has it
    assert is_sealed(json.loads(text), key)
    assert not is_sealed(seen | {"verdict": "NG"}, key)
    assert not is_sealed(seen | {"valid_until": "2099-01-01T00:00:00.000Z"}, key)
    assert not is_sealed(seen, b"another secret of a line")


def test_home_assistant_is_told_retained(
    client: Clients, box_config: Boxes, link_with: Links, until: Until
) -> None:
    link = link_with(home_assistant={})
    for topic, document in discovery(box_config(home_assistant={})).items():
        link.publish_document(topic, document)
    until(lambda: link.connected)
    watcher = client("homeassistant/#")
    watcher.wait(lambda: len(watcher.messages) >= 4)
    until(lambda: all(message.retain for message in client("homeassistant/#").messages))
    names = {json.loads(message.payload)["name"] for message in watcher.messages}
    assert names == {"State", "Verdict", "Bundle", "Camera top"}


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_late_will_does_not_stand_while_the_box_is_there(
    version: str, client: Clients, link_with: Links, until: Until
) -> None:
    link = link_with(version=version)
    until(lambda: link.connected)
    watcher = client(f"{ROOT}/availability")
    watcher.wait_for("/availability", "online")
    for word in ("offline", "stopped"):  # of an earlier connection, and of an earlier session's goodbye
        watcher.publish(f"{ROOT}/availability", word.encode(), retain=True)
        watcher.wait_for("/availability", word)
        watcher.wait(lambda: watcher.payloads("/availability")[-1] == "online")
    late = client(f"{ROOT}/availability")
    late.wait_for("/availability", "online")
    link.stop()
    watcher.wait(lambda: watcher.payloads("/availability")[-1] == "stopped")


def test_the_password_may_come_from_the_environment(
    broker: Broker, link_with: Links, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("no mosquitto_passwd here")
    users = tmp_path / "passwd"
    users.touch()
    subprocess.run([program, "-b", str(users), "box7", "of the environment"], check=True)
    broker.kill()
    broker.settings = f"allow_anonymous false\npassword_file {users}"
    broker.start()
    variable = "BOX_PASSWORD"
    monkeypatch.setenv(variable, "of the environment")
    link = link_with(username="box7", password_env=variable)
    until(lambda: link.connected)
    monkeypatch.delenv(variable)
    with pytest.raises(ConfigError) as caught:
        link_with(username="box7", password_env=variable)
    assert variable in str(caught.value)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_the_broker_reports_a_killed_box_as_offline(
    version: str, broker: Broker, client: Clients, box_config: Boxes, tmp_path: Path
) -> None:
    config = tmp_path / "box.json"
    config.write_text(box_config(version=version).model_dump_json())
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from edgeflow.config.box import BoxConfig\n"
        "from edgeflow.mqtt.link import MqttLink\n"
        "MqttLink(BoxConfig.model_validate_json(Path(sys.argv[1]).read_text()), 'session-a').start()\n"
        "time.sleep(60)\n"
    )
    watcher = client(f"{ROOT}/availability")
    box = subprocess.Popen([sys.executable, "-c", script, str(config)])
    watcher.wait_for("/availability", "online")
    box.kill()
    box.wait()
    watcher.wait_for("/availability", "offline")
    if version == "5":
        assert ("session", "session-a") in user_properties(watcher.messages[-1])


def user_properties(message: Any) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = message.properties.UserProperty
    return found


def test_messages_carry_their_properties(client: Clients, link_with: Links, until: Until) -> None:
    watcher = client(f"{ROOT}/+")
    link = link_with()
    until(lambda: link.connected)
    assert link.publish_decision(decision(7))
    link.publish_result(b"{}", schema="edgeflow/result/1", session="older", seq=3, replayed=True)
    watcher.wait(lambda: len(watcher.messages) == 3)
    _, sent, result = watcher.messages
    properties: Any = sent.properties
    assert properties.ContentType == "application/json"
    assert properties.MessageExpiryInterval == 1  # the broker must not keep it for a sleeping gate
    assert not sent.retain
    assert user_properties(sent) == [
        ("schema", "edgeflow/decision/1"),
        ("session", "session-a"),
        ("seq", "7"),
    ]
    assert user_properties(result) == [
        ("schema", "edgeflow/result/1"),
        ("session", "older"),
        ("seq", "3"),
        ("replayed", "true"),
    ]


def test_metrics_come_once_and_leave_nothing_waiting_for_an_answer(
    client: Clients, link_with: Links, until: Until
) -> None:
    watcher = client(f"{ROOT}/metrics")
    link = link_with()
    until(lambda: link.connected)
    for period_s in range(1, 31):
        assert link.publish_metrics(METRICS.model_copy(update={"period_s": float(period_s)}))
    watcher.wait(lambda: len(watcher.messages) == 30)
    assert [message.qos for message in watcher.messages] == [0] * 30
    assert not any(message.retain for message in watcher.messages)
    assert user_properties(watcher.messages[0]) == [
        ("schema", "edgeflow/metrics/1"),
        ("session", "session-a"),
    ]
    assert [from_json(Metrics, m.payload).period_s for m in watcher.messages] == list(range(1, 31))
    until(lambda: link.idle)
    late = client(f"{ROOT}/#")
    assert late.payloads("/metrics") == []


def test_without_a_broker_metrics_are_lost_and_nobody_waits(box_config: Boxes) -> None:
    assert not MqttLink(box_config(), "session-a").publish_metrics(METRICS)


def test_the_socket_sends_at_once_and_notices_a_dead_network(link_with: Links, until: Until) -> None:
    link = link_with()
    until(lambda: link.connected)
    live = link._connection.live
    assert live is not None
    sock = live.wire.client.socket()
    assert isinstance(sock, socket.socket)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    if sys.platform == "linux":
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2000


def test_messages_of_many_threads_stay_whole_when_the_broker_is_slow_to_take_them(
    broker: Broker, client: Clients, link_with: Links, until: Until
) -> None:
    watcher = client(f"{ROOT}/result")
    watcher.wait_until_subscribed()
    link = link_with()
    until(lambda: link.connected)
    sent = [json.dumps({"seq": n, "filling": "x" * 900_000}).encode() for n in range(16)]

    def publish(payload: bytes) -> None:
        assert link.publish_result(payload, schema="s", session="a", seq=1, replayed=False)

    broker.freeze()  # 14 MB are more than the sockets hold: some of it is left to the listening thread
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(publish, sent))
    broker.thaw()
    watcher.wait(lambda: len(watcher.messages) == len(sent))
    assert sorted(bytes(m.payload) for m in watcher.messages) == sorted(sent)
    assert link.connected


def test_a_decision_does_not_wait_for_the_thread_that_listens(
    client: Clients, box_config: Boxes, until: Until
) -> None:
    gate = client(f"{ROOT}/+")
    gate.wait_until_subscribed()
    link = MqttLink(box_config(), "session-a")
    busy, arrived = threading.Event(), threading.Event()

    def handle(_incoming: Incoming) -> None:
        busy.set()
        arrived.wait(PATIENCE_S)

    link.subscribe(f"{ROOT}/trigger", handle, max_bytes=100)
    link.start()
    gate.wait_for("/availability", "online")  # subscribed before
    gate.publish(f"{ROOT}/trigger", b"{}")
    until(busy.is_set)
    assert link.publish_decision(decision(1))
    gate.wait(lambda: bool(gate.payloads("/decision")))
    arrived.set()
    link.stop()


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_decision_never_comes_after_a_broker_restart(
    version: str, broker: Broker, client: Clients, link_with: Links, until: Until
) -> None:
    link = link_with(version=version)
    gate = client(f"{ROOT}/+")
    until(lambda: link.connected)
    broker.freeze()
    assert link.publish_decision(decision(1))  # on its way, and never confirmed
    broker.kill()
    until(lambda: not link.connected)
    assert not link.publish_decision(decision(2))
    assert link.decisions_unsent == 1
    broker.start()
    gate.wait_until_subscribed(2)
    until(lambda: link.connected)
    assert link.publish_decision(decision(3))
    gate.wait(lambda: bool(gate.payloads("/decision")))
    assert [json.loads(payload)["result_id"] for payload in gate.payloads("/decision")] == ["r-3"]


def test_the_latest_documents_are_back_after_a_broker_restart(
    broker: Broker, client: Clients, link_with: Links, until: Until
) -> None:
    link = link_with()
    link.publish_state(state("starting"))
    until(lambda: link.connected)
    broker.kill()
    until(lambda: not link.connected)
    link.publish_state(state("running"))
    broker.start()
    until(lambda: link.connected)
    watcher = client(f"{ROOT}/#")
    watcher.wait(lambda: len(watcher.messages) >= 2)
    watcher.wait_for("/availability", "online")
    assert json.loads(watcher.payloads("/state")[-1])["detail"] == "running"


def test_an_unreachable_broker_is_told_once_and_stops_nothing(
    broker: Broker, link_with: Links, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    broker.kill()
    with caplog.at_level(logging.INFO, logger="edgeflow"):
        link = link_with()
        assert not link.publish_decision(decision(1))
        link.publish_state(state("starting"))
        until(lambda: link._connection.number >= 2)
        assert "mqtt.host and mqtt.port" in link.problem
        broker.start()
        until(lambda: link.connected)
    assert link.problem == ""
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == 1
    assert "nothing listens there" in told[0]


def test_an_unknown_name_is_told(link_with: Links, until: Until) -> None:
    link = link_with(host="no-such-host.invalid")
    until(lambda: "name not found; check mqtt.host" in link.problem)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_wrong_password_is_told_without_it_and_a_corrected_one_is_taken(
    version: str,
    broker: Broker,
    link_with: Links,
    until: Until,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "mosquitto_passwd comes with mosquitto"
    users, secret = tmp_path / "users", tmp_path / "secret"
    subprocess.run([program, "-c", "-b", str(users), "box7", "right-word"], check=True, timeout=120)
    broker.kill()
    broker.settings = f"allow_anonymous false\npassword_file {users}"
    broker.start()
    secret.write_text("wrong-word\n")
    with caplog.at_level(logging.DEBUG):
        link = link_with(version=version, username="box7", password_file=str(secret))
        until(lambda: "mqtt.username and mqtt.password_file" in link.problem)
        secret.write_text("right-word\n")
        until(lambda: link.connected)
    assert "-word" not in caplog.text


def test_missing_files_are_all_told_at_start(box_config: Boxes, tmp_path: Path) -> None:
    tls = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    link = MqttLink(box_config(tls=tls, password_file=str(tmp_path / "secret")), "session-a")
    with pytest.raises(ConfigError) as caught:
        link.start()
    text = str(caught.value)
    assert all(name in text for name in ("tls.ca", "tls.cert", "tls.key", "password_file", "mqtt.username"))
    link.stop()


def test_a_topic_root_with_wildcards_is_refused(box_config: Boxes) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.root"):
        MqttLink(box_config(root="plant/#"), "session-a").start()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A self-signed certificate for the loopback address, and its key."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl program here to make certificates")
    options = (
        "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        f"-subj /CN={name} -addext subjectAltName=IP:127.0.0.1"
    )
    command = [program, "req", *options.split(), "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return cert, key


def test_an_encrypted_connection_with_a_client_certificate(
    broker: Broker, link_with: Links, until: Until, tmp_path: Path
) -> None:
    server_cert, server_key = certificate(tmp_path, "server")
    box_cert, box_key = certificate(tmp_path, "box")
    broker.kill()
    broker.settings = (
        f"allow_anonymous true\ncertfile {server_cert}\nkeyfile {server_key}\n"
        f"cafile {box_cert}\nrequire_certificate true"
    )
    broker.start()
    tls = {"ca": str(server_cert), "cert": str(box_cert), "key": str(box_key)}
    link = link_with(tls=tls)
    until(lambda: link.connected)


# The handshake fails inside paho, which leaves the refused socket to the garbage collector.
@pytest.mark.filterwarnings("ignore:.*unclosed.*SSLSocket:ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_foreign_certificate_and_a_broken_file_are_told(
    broker: Broker, link_with: Links, until: Until, tmp_path: Path
) -> None:
    cert, key = certificate(tmp_path, "server")
    other, _ = certificate(tmp_path, "other")
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    broker.kill()
    broker.settings = f"allow_anonymous true\ncertfile {cert}\nkeyfile {key}"
    broker.start()
    foreign = link_with(tls={"ca": str(other)})
    until(lambda: "certificate is refused" in foreign.problem and "mqtt.tls" in foreign.problem)
    unusable = link_with(tls={"ca": str(broken)})
    until(lambda: "mqtt.tls.ca" in unusable.problem)


def test_acks_are_heard_and_nonsense_is_ignored(
    client: Clients, box_config: Boxes, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[LinkEvent] = []
    link = MqttLink(box_config(), "session-a")
    link.listen(heard.append)
    link.start()
    until(lambda: link.connected)
    consumer = client("unused")
    for payload in (b"", b"\xff", b"[]", b'{"result_ids": []}', b"x" * 300_000):
        consumer.publish(f"{ROOT}/result/ack", payload)
    consumer.publish(f"{ROOT}/result/ack", b'{"schema": "edgeflow/ack/1", "result_ids": ["r-1", "r-2"]}')
    until(lambda: any(isinstance(event, Acked) for event in heard))
    link.stop()
    assert [event for event in heard if isinstance(event, Acked)] == [Acked(result_ids=("r-1", "r-2"))]
    assert caplog.text.count("result/ack: ignored") == 5


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_topic_goes_to_its_handler_and_says_what_was_retained(
    version: str, client: Clients, box_config: Boxes, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Incoming] = []

    def fails_at_first(incoming: Incoming) -> None:
        heard.append(incoming)
        assert len(heard) > 1, "a handler that fails"

    sender = client("unused")
    sender.publish(f"{ROOT}/cmd/start", b"kept", retain=True)
    client(f"{ROOT}/cmd/#").wait_for("/cmd/start", "kept")
    link = MqttLink(box_config(version=version), "session-a")
    link.subscribe(f"{ROOT}/cmd/+", fails_at_first, max_bytes=10)
    link.start()
    until(lambda: len(heard) == 1)
    sender.publish(f"{ROOT}/cmd/start", b"x" * 11)
    sender.publish(f"{ROOT}/other", b"not for us")
    sender.publish(f"{ROOT}/cmd/stop", b"fresh")
    until(lambda: len(heard) == 2)
    assert link.connected
    link.stop()
    told = [(one.topic.removeprefix(f"{ROOT}/"), one.payload, one.retained) for one in heard]
    assert told == [("cmd/start", b"kept", True), ("cmd/stop", b"fresh", False)]
    assert "cmd/start: ignored, 11 bytes" in caplog.text
    assert "cmd/start: its handler failed" in caplog.text


def test_two_boxes_with_one_client_id_are_told(
    link_with: Links, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    first = link_with(client_id="same")
    until(lambda: first.connected)
    link_with(client_id="same")
    until(lambda: "check mqtt.client_id" in caplog.text)
