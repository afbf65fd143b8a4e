"""``edgeflow check`` at real brokers: it logs in as the box does, and never disturbs a box that runs."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeflow.alarms import Alarms
from edgeflow.commands.control_socket import ControlSocket
from edgeflow.config.box import BoxConfig
from edgeflow.diagnostics.broker_trial import PROBE
from edgeflow.diagnostics.check_broker import broker_findings
from edgeflow.diagnostics.findings import Finding
from edgeflow.mqtt.link import MqttLink

if TYPE_CHECKING:
    from tests.support.brokers import Broker
    from tests.system.conftest import Client

ROOT = "edgeflow/v1/plant1/l3/s2"
Boxes = Callable[..., BoxConfig]
Clients = Callable[[str], "Client"]
Until = Callable[[Callable[[], bool]], None]
VERSIONS = pytest.mark.parametrize("version", ["5", "3.1.1"])


def restart(broker: Broker, settings: str) -> None:
    broker.kill()
    broker.settings = settings
    broker.start()


def texts(findings: Iterator[Finding], state: str) -> list[str]:
    return [finding.text for finding in findings if finding.state == state]


def by_mqtt(config: BoxConfig) -> BoxConfig:
    trigger = config.trigger.model_copy(update={"source": "mqtt", "period_ms": None})
    return config.model_copy(update={"trigger": trigger})


@VERSIONS
def test_a_good_login_is_ok_and_leaves_nothing_behind(
    version: str, client: Clients, box_config: Boxes
) -> None:
    watcher = client("#")
    findings = list(broker_findings(box_config(version=version)))
    assert [finding.state for finding in findings] == ["ok"]
    assert "lets the box in" in findings[0].text
    late = client("#")
    assert (watcher.messages, late.messages) == ([], [])


@VERSIONS
def test_a_wrong_password_fails_and_names_the_settings(
    version: str, broker: Broker, box_config: Boxes, tmp_path: Path
) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("no mosquitto_passwd here")
    users, secret = tmp_path / "users", tmp_path / "secret"
    subprocess.run([program, "-c", "-b", str(users), "box7", "right-word"], check=True, timeout=120)
    secret.write_text("wrong-word")
    restart(broker, f"allow_anonymous false\npassword_file {users}")
    config = box_config(version=version, username="box7", password_file=str(secret))
    (text,) = texts(broker_findings(config), "failed")
    assert "check mqtt.username and mqtt.password_file" in text
    assert "tried under the client id 'edgeflow-plant1-l3-s2-check-" in text
    assert "-word" not in text
    secret.write_text("right-word")
    assert texts(broker_findings(config), "failed") == []


def test_an_open_port_is_no_broker(box_config: Boxes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (text,) = texts(broker_findings(box_config(port=server.getsockname()[1])), "failed")
    assert "does not speak MQTT" in text


def test_a_broker_that_hangs_up_is_named(box_config: Boxes) -> None:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        connection.recv(4096)
        connection.close()

    threading.Thread(target=serve, daemon=True).start()
    (text,) = texts(broker_findings(box_config(port=server.getsockname()[1])), "failed")
    server.close()
    assert "ends the connection before it accepts it; check mqtt.version" in text


def test_rights_are_tried_by_messages_that_are_no_verdict_and_not_retained(
    broker: Broker, client: Clients, box_config: Boxes, tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic read #\ntopic write {ROOT}/result\ntopic write {ROOT}/availability\n")
    restart(broker, f"allow_anonymous true\nacl_file {acl}")
    watcher = client("#")
    findings = list(broker_findings(box_config(), publish=True))
    failed = [finding.text for finding in findings if finding.state == "failed"]
    assert any(
        text.startswith(f"{ROOT}/decision: the box may not publish: Not authorized") for text in failed
    )
    assert any(f"{ROOT}/state" in text for text in failed)
    assert not any(f"{ROOT}/result:" in text for text in failed)
    assert f"{ROOT}/result: the box may publish" in [finding.text for finding in findings]
    watcher.wait(lambda: len(watcher.messages) == 2)
    assert {bytes(message.payload) for message in watcher.messages} == {PROBE}
    assert "verdict" not in json.loads(PROBE)
    assert not any(message.retain for message in watcher.messages)
    assert client("#").messages == []


def test_with_mqtt_3_1_1_a_message_that_comes_back_shows_the_right(
    broker: Broker, box_config: Boxes, tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(f"topic read #\ntopic write {ROOT}/decision\n")
    restart(broker, f"allow_anonymous true\nacl_file {acl}")
    findings = list(broker_findings(box_config(version="3.1.1"), publish=True))
    assert f"{ROOT}/decision: the box may publish" in [finding.text for finding in findings]
    assert any(
        text.startswith(f"{ROOT}/result: a message did not come back")
        for text in texts(iter(findings), "warning")
    )


def test_nothing_is_published_where_it_is_not_asked_for(client: Clients, box_config: Boxes) -> None:
    watcher = client("#")
    list(broker_findings(box_config()))
    assert watcher.messages == []


def test_small_packets_and_no_retained_messages_are_warnings(broker: Broker, box_config: Boxes) -> None:
    restart(broker, "allow_anonymous true\nmax_packet_size 4000\nretain_available false")
    found = " ".join(texts(broker_findings(box_config()), "warning"))
    assert "4000 bytes at most" in found
    assert "no retained messages" in found


@pytest.mark.parametrize("ids_by_user", [False, True])
def test_a_running_box_is_asked_and_never_thrown_out(
    ids_by_user: bool, broker: Broker, box_config: Boxes, until: Until, tmp_path: Path
) -> None:
    """Also where the broker takes the user's name for the client id: a second login would end the first."""
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("no mosquitto_passwd here")
    users, secret = tmp_path / "users", tmp_path / "secret"
    subprocess.run([program, "-c", "-b", str(users), "box7", "word"], check=True, timeout=120)
    secret.write_text("word")
    more = "\nuse_username_as_clientid true" if ids_by_user else ""
    restart(broker, f"allow_anonymous false\npassword_file {users}{more}")
    config = box_config(username="box7", password_file=str(secret))
    link = MqttLink(config, "s")
    link.report_to(Alarms("s", link))

    def status() -> dict[str, object]:
        return {
            "broker": "connected" if link.connected else link.problem,
            "broker_address": link.address,
            "broker_user": link.username,
            "broker_refuses": [f"{ROOT}/decision: the broker refuses it"],
        }

    control = ControlSocket(
        config.control_socket, lambda *_: pytest.fail("no command was meant"), status, lambda _: None
    )
    control.start()
    link.start()
    until(lambda: link.connected)
    number = link.connection_number
    findings = list(broker_findings(config, publish=True))
    assert texts(iter(findings), "ok") == [f"127.0.0.1:{broker.port}: the running box is connected"]
    assert texts(iter(findings), "failed") == [
        f"the running box says: {ROOT}/decision: the broker refuses it"
    ]
    assert (link.connected, link.connection_number) == (True, number)
    link.stop()
    control.close()


def test_a_login_beside_a_box_elsewhere_does_not_throw_it_out(box_config: Boxes, until: Until) -> None:
    config = box_config(client_id="box-7")
    link = MqttLink(config, "s")
    link.start()
    until(lambda: link.connected)
    number = link.connection_number
    assert texts(broker_findings(config), "failed") == []
    assert (link.connected, link.connection_number) == (True, number)
    link.stop()
