"""Brokers that refuse, limit, stall or hang up: the box says so, keeps what it can, and goes on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgeflow.alarms import Alarms
from edgeflow.clock import monotonic_ns, utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import Decision, Result, State
from edgeflow.delivery.outbox import Outbox, open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.mqtt.link import MqttLink
from edgeflow.mqtt.subscriptions import Incoming
from simulators.small_box import ctl, start_box, write_box

if TYPE_CHECKING:
    from tests.support.brokers import Broker
    from tests.system.conftest import Client

ROOT = "edgeflow/v1/plant1/l3/s2"
ENDS = {  # how Mosquitto takes no large message: named by it, found out, and with MQTT 3.1.1
    "announced": ("max_packet_size 4000", "5"),
    "not announced": ("message_size_limit 4000", "5"),
    "3.1.1": ("max_packet_size 4000", "3.1.1"),
}
Boxes = Callable[..., BoxConfig]
Clients = Callable[[str], "Client"]
Results = Callable[..., Result]
Until = Callable[[Callable[[], bool]], None]


def decision(number: int, text: str = "") -> Decision:
    return Decision(
        result_id=f"r-{number}",
        trigger_id=f"t-{number}",
        part_id="p",
        verdict="OK",
        reason=text,
        seq=number,
        session="s",
        acquired_at=utc_text(),
        valid_until=utc_text(monotonic_ns() + 1_000_000_000),
    )


def state(detail: str) -> State:
    return State(session="s", state="Ready", detail=detail, recipe="r", ready=True, at=utc_text())


class Box:
    """Link, alarms, outbox and delivery, as a station puts them together."""

    def __init__(self, config: BoxConfig) -> None:
        self.link = MqttLink(config, "s")
        self.alarms = Alarms("s", self.link)
        self.link.report_to(self.alarms)
        self.outbox: Outbox = open_outbox(config.outbox, self.alarms)
        self.delivery = ResultSender(self.outbox, self.link, "broker", self.alarms)

    def start(self) -> None:
        self.link.start()
        self.delivery.start()

    def alarm(self, name: str) -> str:
        """Its text; empty where it does not stand."""
        return next((alarm.text for alarm in self.alarms.standing() if alarm.name == name), "")

    def end(self) -> None:
        self.delivery.close(0.0)
        self.link.stop()
        self.outbox.close()


@pytest.fixture
def make_box(box_config: Boxes) -> Iterator[Callable[..., Box]]:
    made: list[Box] = []

    def make(**mqtt: object) -> Box:
        made.append(Box(box_config(**mqtt)))
        return made[-1]

    yield make
    for box in made:
        box.end()


def restart(broker: Broker, settings: str) -> None:
    broker.kill()
    broker.settings = f"allow_anonymous true\n{settings}"
    broker.start()


@pytest.mark.parametrize("way", list(ENDS))
def test_a_result_that_the_broker_does_not_take_is_set_aside_and_holds_up_no_other(
    way: str,
    broker: Broker,
    client: Clients,
    make_box: Callable[..., Box],
    make_result: Results,
    until: Until,
) -> None:
    settings, version = ENDS[way]
    restart(broker, settings)
    consumer = client(f"{ROOT}/result")
    box = make_box(version=version)
    box.start()
    for number in range(12):
        result = make_result(number)
        large = number in (3, 7)
        box.outbox.put(result.model_copy(update={"reason": "x" * 5000}) if large else result)
    until(lambda: box.outbox.flush() and len(box.outbox.aside()) == 2 and box.outbox.count() == 0)
    assert {row.result_id for row in box.outbox.aside()} == {"r-3", "r-7"}
    assert all(row.size > 5000 for row in box.outbox.aside())
    consumer.wait(lambda: len({json.loads(text)["result_id"] for text in consumer.payloads("/result")}) == 10)
    until(lambda: "2 result(s)" in box.alarm("results_set_aside"))  # it stood for the first one before
    if way == "announced":
        assert "the broker takes 4000 at most" in box.outbox.aside()[0].why
    restart(broker, "")
    box.outbox.restore([row.id for row in box.outbox.aside()])
    until(lambda: box.outbox.flush() and box.outbox.count() == 0 and not box.outbox.aside())
    consumer.wait(lambda: len({json.loads(text)["result_id"] for text in consumer.payloads("/result")}) == 12)


def test_fifteen_killed_brokers_set_nothing_aside(
    broker: Broker, client: Clients, make_box: Callable[..., Box], make_result: Results, until: Until
) -> None:
    consumer = client(f"{ROOT}/result")
    box = make_box()
    box.start()
    until(lambda: box.link.connected)
    for kills in range(15):
        broker.freeze()  # the one result that is on its way stays there
        box.outbox.put(make_result(kills))
        until(lambda: box.delivery._window.unanswered > 0)
        broker.kill()
        broker.start()
        consumer.wait_until_subscribed(kills + 2)
        until(lambda: box.outbox.flush() and box.outbox.count() == 0)
    assert box.outbox.aside() == []
    consumer.wait(lambda: len({json.loads(text)["result_id"] for text in consumer.payloads("/result")}) == 15)


@pytest.mark.parametrize("way", list(ENDS))
def test_a_document_that_the_broker_does_not_take_is_left_out_and_named(
    way: str, broker: Broker, client: Clients, make_box: Callable[..., Box], until: Until
) -> None:
    settings, version = ENDS[way]
    restart(broker, settings)
    box = make_box(version=version)
    watcher = client(f"{ROOT}/#")
    box.link.publish_document(f"{ROOT}/birth", {"text": "x" * 5000})
    box.link.publish_state(state("before"))
    box.start()
    until(lambda: bool(box.alarm("message_withheld.birth")))
    assert f"{ROOT}/birth: " in box.alarm("message_withheld.birth")
    until(lambda: box.link.connected and box.link.idle)
    assert box.link.publish_decision(decision(1))
    watcher.wait(lambda: bool(watcher.payloads("/decision")) and bool(watcher.payloads("/state")))
    box.link.publish_document(f"{ROOT}/birth", {"text": "small"})
    watcher.wait_for("/birth", '{"text": "small"}')
    until(lambda: not box.alarm("message_withheld.birth"))


@pytest.mark.parametrize("way", list(ENDS))
def test_decisions_that_the_broker_does_not_take_do_not_keep_the_rest_from_it(
    way: str, broker: Broker, client: Clients, make_box: Callable[..., Box], until: Until
) -> None:
    settings, version = ENDS[way]
    restart(broker, settings)
    box = make_box(version=version)
    watcher = client(f"{ROOT}/#")
    box.start()
    until(lambda: box.link.connected)
    for number in range(300):
        box.link.publish_decision(decision(number, "x" * 5000))
        if box.alarm("message_withheld.decision"):
            break
        time.sleep(0.05)
    assert f"{ROOT}/decision: " in box.alarm("message_withheld.decision")
    until(lambda: box.link.connected and box.link.idle)
    connection = box.link.connection_number
    assert not box.link.publish_decision(decision(1000, "x" * 5000))
    assert box.link.gate.told("r-1000") is False
    box.link.publish_state(state("still here"))
    watcher.wait(lambda: any("still here" in text for text in watcher.payloads("/state")))
    assert box.link.connection_number == connection


def rights(*topics: str) -> str:
    return "\n".join([f"topic read {ROOT}/#", *(f"topic write {ROOT}/{topic}" for topic in topics)]) + "\n"


def test_refused_decisions_are_an_alarm_and_each_result_says_whether_the_gate_was_told(
    broker: Broker, client: Clients, make_box: Callable[..., Box], make_result: Results, until: Until,
    tmp_path: Path,
) -> None:  # fmt: skip
    acl = tmp_path / "acl"
    acl.write_text(rights("result", "availability"))
    restart(broker, f"acl_file {acl}")
    watcher = client(f"{ROOT}/#")
    box = make_box()
    box.start()
    until(lambda: box.link.connected)
    box.link.publish_decision(decision(1))
    until(lambda: bool(box.alarm("broker_refuses.decision")))
    text = box.alarm("broker_refuses.decision")
    assert f"{ROOT}/decision: " in text
    assert "Not authorized" in text
    assert "give this user the right" in text
    assert text in box.link.problem
    box.outbox.put(make_result(1))
    watcher.wait(lambda: len(watcher.payloads("/result")) == 1)
    acl.write_text(rights("result", "availability", "decision"))
    assert broker._process is not None
    broker._process.send_signal(1)
    until(lambda: box.link.publish_decision(decision(2)) and not box.alarm("broker_refuses.decision"))
    until(lambda: box.link.gate.told("r-2") is True)
    box.outbox.put(make_result(2))
    watcher.wait(lambda: len(watcher.payloads("/result")) == 2)
    told = {r["result_id"]: r["gate_told"] for r in map(json.loads, watcher.payloads("/result"))}
    assert told == {"r-1": False, "r-2": True}


def test_decisions_that_nobody_hears_are_an_alarm_until_somebody_does(
    client: Clients, make_box: Callable[..., Box], until: Until
) -> None:
    box = make_box()
    box.start()
    until(lambda: box.link.connected)
    box.link.publish_decision(decision(1))
    until(lambda: bool(box.alarm("decisions_unheard.decision")))
    assert box.link.gate.told("r-1") is False
    client(f"{ROOT}/decision")
    box.link.publish_decision(decision(2))
    until(lambda: not box.alarm("decisions_unheard.decision"))
    assert box.link.gate.told("r-2") is True


def dynamic_security(folder: Path, *filters: str) -> str:
    """Settings of a broker that refuses subscriptions with SUBACK, other than to these filters."""
    places = (
        Path("/usr/lib").rglob("mosquitto_dynamic_security.so"),
        Path("/usr/local/lib").rglob("*_security.so"),
    )
    plugin = next((path for found in places for path in found), None)
    if plugin is None:
        pytest.skip("mosquitto has no plugin for dynamic security here")
    allowed = [
        {"acltype": kind, "topic": topic, "allow": True}
        for kind in ("publishClientSend", "publishClientReceive", "subscribePattern")
        for topic in (("#",) if kind != "subscribePattern" else filters)
    ]
    file = folder / "security.json"
    file.write_text(
        json.dumps(
            {
                "defaultACLAccess": dict.fromkeys(
                    ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe"), False
                ),
                "clients": [],
                "groups": [{"groupname": "all", "roles": [{"rolename": "all"}]}],
                "anonymousGroup": "all",
                "roles": [{"rolename": "all", "acls": allowed}],
            }
        )
    )
    return f"plugin {plugin}\nplugin_opt_config_file {file}"


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_refused_subscriptions_are_named(
    version: str, broker: Broker, make_box: Callable[..., Box], until: Until, tmp_path: Path
) -> None:
    restart(broker, dynamic_security(tmp_path, f"{ROOT}/availability"))
    box = make_box(version=version)
    box.link.subscribe(f"{ROOT}/trigger", lambda _: None, max_bytes=100)
    box.start()
    until(lambda: bool(box.alarm("broker_refuses.trigger")))
    text = box.alarm("broker_refuses.trigger")
    assert f"{ROOT}/trigger: the broker refuses the subscription" in text
    assert box.link.connected
    assert box.link.problem
    assert not box.alarm("broker_refuses.availability")


def test_a_broker_that_keeps_no_retained_messages_is_served_and_named(
    broker: Broker, client: Clients, make_box: Callable[..., Box], until: Until
) -> None:
    restart(broker, "retain_available false")
    watcher = client(f"{ROOT}/#")
    box = make_box()
    box.link.publish_state(state("here"))
    box.start()
    watcher.wait(lambda: bool(watcher.payloads("/state")))
    watcher.wait_for("/availability", "online")
    until(lambda: "keeps none" in box.link.problem)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_no_decision_comes_later_than_it_is_valid_from_a_broker_that_stalls(
    version: str, broker: Broker, client: Clients, make_box: Callable[..., Box], until: Until
) -> None:
    arrived: dict[int, float] = {}
    watcher = client(f"{ROOT}/#")

    def note(_client: Any, message: Any) -> None:
        if message.topic.endswith("/decision"):
            arrived[json.loads(message.payload)["seq"]] = time.monotonic()

    watcher.on_message = note
    box = make_box(version=version)
    box.start()
    until(lambda: box.link.connected and box.link.idle)
    made: dict[int, float] = {}
    told: set[int] = set()
    broker.freeze()
    end_s = time.monotonic() + 3.0
    while time.monotonic() < end_s:
        number = len(made)
        made[number] = time.monotonic()
        if box.link.publish_decision(decision(number)):
            told.add(number)
        time.sleep(0.05)
    broker.thaw()
    until(lambda: box.link.connected and box.link.idle)
    until(lambda: box.link.publish_decision(decision(10_000)))
    until(lambda: 10_000 in arrived)
    assert told, "some were on their way when it stalled"
    assert len(told) < len(made), "and none was sent any more once that was clear"
    assert {number for number in arrived if number < 10_000 and arrived[number] - made[number] > 1.5} == set()
    assert all(box.link.gate.told(f"r-{number}") is not True for number in told - set(arrived))
    late = client(f"{ROOT}/availability")
    late.wait(lambda: late.payloads("/availability")[-1:] == ["online"])


def test_a_short_stall_ends_nothing(
    broker: Broker, client: Clients, make_box: Callable[..., Box], until: Until
) -> None:
    client(f"{ROOT}/decision")
    box = make_box()
    box.start()
    until(lambda: box.link.connected and box.link.idle)
    connection = box.link.connection_number
    broker.freeze()
    assert box.link.publish_decision(decision(1))
    time.sleep(0.3)
    broker.thaw()
    until(lambda: box.link.gate.told("r-1") is True)
    assert box.link.connection_number == connection


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """A server that is no good broker; ``answer`` has each connection."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(5)
                try:
                    answer(connection)
                except OSError:
                    continue

    threading.Thread(target=serve, daemon=True).start()
    yield listening.getsockname()[1]
    listening.close()


def closes(connection: socket.socket) -> None:
    connection.recv(4096)


def closes_at_once(_connection: socket.socket) -> None:
    """Before anything was said."""


def talks_http(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


def refuses_in_words(connection: socket.socket) -> None:
    connection.recv(4096)
    words = b"box7 is banned until Monday"
    properties = b"\x1f" + len(words).to_bytes(2, "big") + words
    connection.sendall(bytes([0x20, 3 + len(properties), 0, 0x8A, len(properties)]) + properties)


def says_an_unknown_code(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x20\x03\x00\xee\x00")


def does_not_speak_version_5(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\x20\x02\x00\x01")


def never_answers(connection: socket.socket) -> None:
    connection.settimeout(60)
    while connection.recv(4096):
        pass


def disconnects_before_it_accepts(connection: socket.socket) -> None:
    connection.recv(4096)
    connection.sendall(b"\xe0\x02\x8b\x00")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (closes, "ends the connection before it accepts it; check mqtt.version, mqtt.tls"),
        (closes_at_once, "check"),
        (talks_http, "check mqtt"),
        (refuses_in_words, "box7 is banned until Monday"),
        (says_an_unknown_code, "check mqtt"),
        (does_not_speak_version_5, "check mqtt.version"),
        (disconnects_before_it_accepts, "shutting down"),
        (never_answers, "does not speak MQTT, or is stalled"),
    ],
)
def test_every_way_in_which_no_connection_comes_about_is_named_and_an_alarm(
    answer: Callable[[socket.socket], None],
    words: str,
    make_box: Callable[..., Box],
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with server(answer) as port:
        box = make_box(port=port)
        box.start()
        until(lambda: words in box.alarm("broker_unreachable"))
        assert words in box.link.problem
        assert not box.link.connected
        if answer is never_answers:
            assert "before it accepts it" not in caplog.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0x8B, "shutting down"),
        (0x8E, "check mqtt.client_id"),
        (0x97, "quota"),
        (0x98, "whoever runs the broker"),
        (0x9C, "another server"),
        (0x04, "closed"),
    ],
)
def test_a_connection_that_the_broker_ends_with_a_word_is_named_by_it(
    code: int, words: str, make_box: Callable[..., Box], until: Until
) -> None:
    def ends_it(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x20\x03\x00\x00\x00")
        connection.recv(4096)
        connection.sendall(bytes([0xE0, 2, code, 0]))
        time.sleep(0.3)

    with server(ends_it) as port:
        box = make_box(port=port)
        box.start()
        until(lambda: words in box.link.problem)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
def test_every_refusal_of_mqtt_3_1_1_is_named(code: int, make_box: Callable[..., Box], until: Until) -> None:
    def refuses(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(bytes([0x20, 2, 0, code]))

    with server(refuses) as port:
        box = make_box(port=port, version="3.1.1")
        box.start()
        until(lambda: "check mqtt" in box.link.problem or "is tried again" in box.link.problem or
              "until the broker is ready" in box.link.problem)  # fmt: skip


def test_the_brokers_own_keep_alive_is_heeded(make_box: Callable[..., Box], until: Until) -> None:
    pinged = threading.Event()

    def wants_signs_of_life(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"\x20\x06\x00\x00\x03\x13\x00\x01")  # Server Keep Alive: 1 s
        while data := connection.recv(4096):
            if b"\xc0\x00" in data:
                pinged.set()

    with server(wants_signs_of_life) as port:
        box = make_box(port=port, keepalive_s=3600)
        box.start()
        until(pinged.is_set)


def test_a_broker_that_takes_few_in_flight_gets_no_more_and_loses_none(
    broker: Broker, client: Clients, make_box: Callable[..., Box], make_result: Results, until: Until
) -> None:
    restart(broker, "max_inflight_messages 3")
    consumer = client(f"{ROOT}/#")
    box = make_box()
    box.start()
    until(lambda: box.link.connected and box.link.idle)
    assert box.link.result_window == 1
    for number in range(30):
        box.outbox.put(make_result(number))
    until(lambda: box.outbox.flush() and box.outbox.count() == 0)
    consumer.wait(lambda: len(consumer.payloads("/result")) == 30)
    until(lambda: box.link.publish_decision(decision(1)))


def test_an_alarm_that_was_reset_stands_again_while_the_broker_refuses(
    broker: Broker, make_box: Callable[..., Box], until: Until, tmp_path: Path
) -> None:
    acl = tmp_path / "acl"
    acl.write_text(rights("availability"))
    restart(broker, f"acl_file {acl}")
    box = make_box()
    box.start()
    until(lambda: box.link.publish_decision(decision(1)) and bool(box.alarm("broker_refuses.decision")))
    box.alarms.clear_all()
    until(lambda: box.link.publish_decision(decision(2)) and bool(box.alarm("broker_refuses.decision")))


def test_an_oversized_command_is_answered_and_not_kept(
    client: Clients, make_box: Callable[..., Box], until: Until
) -> None:
    heard: list[Incoming] = []
    box = make_box(version="3.1.1")
    box.link.subscribe(f"{ROOT}/cmd/+", heard.append, max_bytes=1000, report_larger=True)
    box.start()
    until(lambda: box.link.connected and box.link.idle)
    client("unused").publish(f"{ROOT}/cmd/stop", b"x" * 2_000_000)
    until(lambda: len(heard) == 1)
    assert (heard[0].payload, heard[0].size) == (b"", 2_000_000)


def test_a_group_that_nobody_confirms_does_not_hold_up_the_rest(
    client: Clients, box_config: Boxes, make_result: Results
) -> None:
    """As many as may be on their way: the consumer confirms only what comes after them."""
    config = box_config()
    link, outbox = MqttLink(config, "s"), open_outbox(config.outbox)
    delivery = ResultSender(outbox, link, "consumer")
    consumer = client(f"{ROOT}/result")

    def acknowledge(paho_client: Any, message: Any) -> None:
        record = json.loads(message.payload)
        if record["seq"] >= 300:
            ack = {"schema": "edgeflow/ack/1", "result_ids": [record["result_id"]]}
            paho_client.publish(f"{ROOT}/result/ack", json.dumps(ack), 1)

    consumer.on_message = acknowledge
    for number in range(320):
        outbox.put(make_result(number))
    assert outbox.flush()
    link.start()
    delivery.start()
    deadline_s = time.monotonic() + 60
    while outbox.count() > 300 and time.monotonic() < deadline_s:
        time.sleep(0.1)
        outbox.flush()
    assert outbox.count() == 300
    delivery.close(0.0)
    link.stop()
    outbox.close()


@pytest.mark.parametrize("program", ["monitor", "controller"])
def test_programs_beside_the_box_end_with_an_error_where_they_cannot_connect(
    program: str, repository: Path, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("p")
    with server(closes) as port:
        url = f"mqtt://127.0.0.1:{port}"
        login = ["--username", "u", "--password-file", str(tmp_path / "password")]
        command = {
            "monitor": ["-m", "edgeflow.cli", "monitor", url, *login],
            "controller": [str(repository / "tools" / "line_controller.py"), url, "--root", ROOT, *login],
        }[program]
        done = subprocess.run(
            [sys.executable, *command],
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), *filter(None, sys.path)])},
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 6, done.stderr
    assert "ends the connection before it accepts it" in done.stderr
    assert "missing" not in done.stdout


def test_a_running_box_and_check_name_why_there_is_no_connection(tmp_path: Path) -> None:
    with server(closes) as port:
        path = write_box(tmp_path, port)
        box = start_box(path, out=subprocess.DEVNULL)
        try:
            said = ""
            deadline_s = time.monotonic() + 90  # it proves its bundle first
            while "decisions did not reach" not in said and time.monotonic() < deadline_s:
                said = ctl(path, "status").stdout
            assert "broker: the broker ends the connection before it accepts it" in said
            assert "alarm broker_unreachable" in said
            assert "decisions did not reach" in said
            command = [sys.executable, "-m", "edgeflow.cli", "check", str(path), "--json"]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
            texts = [finding["text"] for finding in json.loads(done.stdout)["findings"]]
            assert any("the running box says: the broker ends the connection" in text for text in texts)
            assert done.returncode == 2
        finally:
            box.terminate()
            box.wait(120)
