"""Statuses of boxes: published by an agent, and collected where a release is promoted."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from edgeflow.config.box import BoxConfig, MqttConfig
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.contracts.messages import from_json, to_json
from edgeflow.contracts.topics import Topics
from edgeflow.errors import DataError, EdgeflowError, HardwareError, IntegrityError
from edgeflow.files import replace_atomically
from edgeflow.mqtt.broker.login import LOGIN_SETTINGS, Login
from edgeflow.mqtt.client import connect_failure, new_client

__all__ = ["FOLDER", "StatusSink", "collect", "merged", "read_folder", "require_one_topic"]

FOLDER = "status"
"""Folder of a repository on a stick, in which boxes leave their status."""

logger = logging.getLogger(__name__)

_ANSWER_S = 5.0
_QUIET_S = 1.0  # no further status has come for so long


@dataclass(kw_only=True)
class StatusSink:
    """Publishes a box's status, retained, and leaves it on the stick where the repository is one.

    A broker that is not there costs nothing: the latest status goes out when it is back.
    """

    config: BoxConfig
    stick: Path | None = None
    _waiting: FleetStatus | None = None
    _problem: str = ""

    def tell(self, status: FleetStatus) -> None:
        """Publish a status, now or with the next one."""
        self._waiting = status
        if self.stick is not None:
            with (
                contextlib.suppress(OSError),
                replace_atomically(self.stick / FOLDER / f"{status.box}.json") as file,
            ):
                file.write(to_json(status))
        self.again()

    def again(self) -> None:
        """Publish what could not be published before."""
        status = self._waiting
        if status is None:
            return
        try:
            self._publish(self._login(), Topics(root=self.config.topic_root).fleet, to_json(status))
            self._waiting = None
        except (OSError, ValueError, RuntimeError, EdgeflowError) as cause:
            if str(cause) != self._problem:
                logger.warning("fleet: the status is not published: %s", cause)
            self._problem = str(cause)

    def _login(self) -> MqttConfig:
        """The box's broker; the agent's own user where it has one."""
        fleet, mqtt = self.config.fleet, self.config.mqtt
        if fleet is None or fleet.username is None:
            return mqtt
        own = {"username": fleet.username, "password_file": fleet.password_file, "password_env": None}
        return mqtt.model_copy(update=own)

    def _publish(self, mqtt: MqttConfig, topic: str, payload: bytes) -> None:
        client = new_client(mqtt, f"{self.config.device_name}-fleet", reconnects=True)
        accepted, refused = threading.Event(), threading.Event()
        client.on_connect = lambda *_: accepted.set()
        client.on_publish = lambda _client, _userdata, _mid, reason, _properties: (
            refused.set() if reason.is_failure else None
        )
        client.connect(mqtt.host, mqtt.port, keepalive=10)
        client.loop_start()
        try:
            if not accepted.wait(_ANSWER_S):
                raise HardwareError("the broker does not answer")
            sent = client.publish(topic, payload, qos=1, retain=True)
            sent.wait_for_publish(_ANSWER_S)
            if not sent.is_published():
                raise HardwareError("the broker does not confirm")
            if refused.is_set():
                raise HardwareError(
                    f"{topic}: the broker refuses it; give this user the right to write there"
                )
        finally:
            client.disconnect()
            client.loop_stop()


@dataclass(kw_only=True)
class _Collector:
    topic: str
    found: dict[str, FleetStatus] = field(default_factory=dict)
    last_s: float = 0.0
    answered: bool = False

    def on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe(self.topic, qos=1)

    def on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        self.last_s = time.monotonic()
        with contextlib.suppress(DataError):
            self.found[message.topic] = from_json(FleetStatus, bytes(message.payload))

    def on_subscribe(self, *_: Any) -> None:
        self.last_s, self.answered = time.monotonic(), True


def collect(login: Login, topic: str) -> list[FleetStatus]:
    """Return every box's retained status at a broker.

    Raises:
        IntegrityError: two stations report under one name; nobody can tell who is right.
        HardwareError: the broker cannot be reached, or does not let this user read there.
        ConfigError: its settings cannot be used.
    """
    collector = _Collector(topic=topic)
    client = login.client("", reconnects=True)
    client.on_connect = collector.on_connect
    client.on_message = collector.on_message
    client.on_subscribe = collector.on_subscribe
    try:
        client.connect(login.url.host, login.url.port, keepalive=10)
    except (OSError, ValueError) as cause:
        raise HardwareError(f"{login.url}: {connect_failure(cause, LOGIN_SETTINGS)}") from cause
    client.loop_start()
    try:
        begun_s = time.monotonic()
        while not collector.answered or time.monotonic() - collector.last_s < _QUIET_S:
            if not collector.answered and time.monotonic() - begun_s > _ANSWER_S:
                raise HardwareError(f"{login.url}: no answer; check address, user and rights at the broker")
            time.sleep(0.05)
    finally:
        client.disconnect()
        client.loop_stop()
    require_one_topic(collector.found)
    return sorted(collector.found.values(), key=lambda one: (one.group, one.box))


def require_one_topic(found: Mapping[str, FleetStatus]) -> None:
    """Refuse statuses of one box on several topics: the broker's rights are by topic, names are only said.

    Raises:
        IntegrityError: names the topics.
    """
    topics: dict[str, list[str]] = {}
    for topic, status in found.items():
        topics.setdefault(status.box, []).append(topic)
    twice = [f"{box}: {', '.join(sorted(at))}" for box, at in topics.items() if len(at) > 1]
    if twice:
        raise IntegrityError(
            "two stations report as one box: one of them is forged, or left over from a station that was "
            "renamed; clear that topic (an empty retained message)",
            problems=twice,
        )


def read_folder(folder: Path) -> list[FleetStatus]:
    """Return the statuses that boxes left in a folder; files that are none are passed over."""
    found = []
    for file in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, DataError):
            found.append(from_json(FleetStatus, file.read_bytes()))
    return found


def merged(*sources: Sequence[FleetStatus]) -> list[FleetStatus]:
    """Return the latest status of each box."""
    latest: dict[str, FleetStatus] = {}
    for status in (one for source in sources for one in source):
        if status.box not in latest or latest[status.box].at < status.at:
            latest[status.box] = status
    return sorted(latest.values(), key=lambda one: (one.group, one.box))
