"""A real broker and a plain MQTT client for the system tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import parse_document
from edgeflow.contracts.messages import Result, VerdictName, from_json
from edgeflow.errors import ConfigError
from tests.support.brokers import Broker, mosquitto

HERE = Path(__file__).parent
SAMPLE = HERE.parent / "samples" / "result.json"
TIMEOUT_S = 60.0  # of things that must happen; a loaded machine may take long
SHORT = ("box/test_alert_rules.py", "box/test_mqtt.py", "box/test_outbox_cli.py", "readme/test_documents.py")
"""Tests of this folder that `make test` runs; the others are long."""
BESIDE_OTHERS = (
    "box/test_broker_refuses.py",
    "box/test_check_broker.py",
    "box/test_collector",
    "box/test_fault_suite.py",
    "box/test_feedback.py",
    "box/test_firmware_configs.py",
    "box/test_fleet_products.py",
    "box/test_imported_network.py",
    "box/test_keys_cli.py",
    "box/test_line_controller.py",
    "box/test_metrics.py",
    "box/test_modbus.py",
    "box/test_monitor_live.py",
    "box/test_nothing_leaves.py",
    "box/test_outbox_full_disk.py",
    "box/test_replay_command.py",
    "box/test_surroundings.py",
    "opcua",
    "readme",
    "workstation",
)
"""Of the long ones, those in which no time matters."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Import none of the files that hold no test of ``-m alone``."""
    if config.option.markexpr != "alone" or collection_path.suffix != ".py":
        return None
    return None if _is_alone(collection_path) else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder as long, and as alone where times matter in them."""
    for item in items:
        if item.path.is_relative_to(HERE) and not _place(item.path).startswith(SHORT):
            item.add_marker(pytest.mark.long)
            if _is_alone(item.path):
                item.add_marker(pytest.mark.alone)


def _place(path: Path) -> str:
    return path.relative_to(HERE).as_posix()


def _is_alone(path: Path) -> bool:
    return not _place(path).startswith((*SHORT, *BESIDE_OTHERS))


class Client:
    """A plain subscriber: collects messages, comes back after every loss."""

    def __init__(self, port: int, topic_filter: str) -> None:
        self._port = port
        self._filter = topic_filter
        self._changed = threading.Condition()
        self._subscriptions = 0
        self.messages: list[paho.MQTTMessage] = []
        self.on_message: Callable[[paho.Client, paho.MQTTMessage], None] | None = None
        self._ended = threading.Event()
        self._client: paho.Client | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            client = paho.Client(
                CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False
            )
            client.on_socket_register_write = lambda *_: None
            client.on_connect = lambda c, *_: c.subscribe(self._filter, 1)
            client.on_subscribe = lambda *_: self._note(None)
            client.on_message = self._receive
            try:
                client.connect("127.0.0.1", self._port, keepalive=5)
            except OSError:
                time.sleep(0.02)
                continue
            self._client = client
            while not self._ended.is_set() and client.loop(0.05) == paho.MQTT_ERR_SUCCESS:
                pass
            client.disconnect()
            client.loop(0.05)

    def _receive(self, client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        self._note(message)
        if self.on_message:
            self.on_message(client, message)

    def _note(self, message: paho.MQTTMessage | None) -> None:
        with self._changed:
            if message is None:
                self._subscriptions += 1
            else:
                self.messages.append(message)
            self._changed.notify_all()

    def payloads(self, suffix: str) -> list[str]:
        """Payloads of the topics that end in ``suffix``, in order of arrival."""
        return [m.payload.decode() for m in list(self.messages) if m.topic.endswith(suffix)]

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, properties: Any = None) -> None:
        assert self._client is not None
        self._client.publish(topic, payload, 1, retain, properties)

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until messages make the condition true."""
        with self._changed:
            assert self._changed.wait_for(condition, TIMEOUT_S), [m.topic for m in self.messages]

    def wait_for_more(self, count: int) -> None:
        wanted = len(self.messages) + count
        self.wait(lambda: len(self.messages) >= wanted)

    def wait_for(self, suffix: str, payload: str) -> None:
        self.wait(lambda: payload in self.payloads(suffix))

    def wait_until_subscribed(self, times: int = 1) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._subscriptions >= times, TIMEOUT_S)

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A running broker."""
    started = Broker(mosquitto(), tmp_path)
    started.start()
    yield started
    started.kill()


@pytest.fixture
def client(broker: Broker) -> Iterator[Callable[[str], Client]]:
    """A factory of subscribers, each ready to receive."""
    made: list[Client] = []

    def make(topic_filter: str) -> Client:
        made.append(Client(broker.port, topic_filter))
        made[-1].wait_until_subscribed()
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def box_config(broker: Broker, tmp_path: Path) -> Callable[..., BoxConfig]:
    """A box at the broker; keywords go to its ``mqtt`` section."""

    def make(**mqtt: object) -> BoxConfig:
        document = {
            "station": {"site": "plant1", "line": "l3", "station": "s2"},
            "bundle": str(tmp_path / "bundle"),
            "trigger": {"source": "interval", "period_ms": 100.0},
            "cameras": {"top": {"kind": "replay", "parts": str(tmp_path)}},
            "sync": {"max_skew_ms": 5.0},
            "decision": {"deadline_ms": 250.0},
            "runtime": {"backend": "openvino"},
            "mqtt": {"host": "127.0.0.1", "port": broker.port, **mqtt},
            "outbox": {"path": str(tmp_path / "outbox.db")},
        }
        return parse_document(BoxConfig, document, what="box", error=ConfigError)

    return make


@pytest.fixture
def make_result() -> Callable[..., Result]:
    """Results that differ in number and verdict."""

    def make(number: int, verdict: VerdictName = "OK") -> Result:
        sample = from_json(Result, SAMPLE.read_bytes())
        return sample.model_copy(update={"result_id": f"r-{number}", "verdict": verdict, "seq": number})

    return make


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds; fail after ``TIMEOUT_S``."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, "did not happen in time"
            time.sleep(0.01)

    return wait
