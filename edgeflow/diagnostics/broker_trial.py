"""One login at a broker to see what it allows: connection, subscriptions and, if wanted, publishing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from edgeflow.config.box import MqttConfig
from edgeflow.mqtt.broker.answers import Settings, closed_early, no_mqtt, refusal
from edgeflow.mqtt.broker.limits import IN_FLIGHT, BrokerLimits, limits_of
from edgeflow.mqtt.client import connect_failure, new_client

__all__ = ["PROBE", "Trial", "try_broker"]

PROBE = json.dumps({"schema": "edgeflow/probe/1", "text": "edgeflow check tries its rights"}).encode()
"""Payload of the trial: it has no verdict and no part, and no other message has its schema."""

_ANSWER_S = 5.0
_ECHO_S = 1.5
_TICK_S = 0.1


@dataclass(kw_only=True)
class Trial:
    """Answers of a broker.

    Attributes:
        failure: why there was no connection; empty where there was one.
        reachable: something listens there.
        subscriptions: topic filter → reason code; absent where no answer came.
        published: topic → reason code; MQTT 3.1.1 has none: 0 where the message came back.
    """

    failure: str = ""
    reachable: bool = True
    limits: BrokerLimits = field(default_factory=BrokerLimits)
    subscriptions: dict[str, int] = field(default_factory=dict)
    published: dict[str, int] = field(default_factory=dict)


def try_broker(
    config: MqttConfig, client_id: str, filters: Sequence[str], topics: Sequence[str], settings: Settings
) -> Trial:
    """Log in without a last will, ask for the filters, publish a probe to each topic, and leave.

    Nothing is retained. What cannot be answered within seconds is absent from the trial.

    Raises:
        ConfigError: a password or TLS file cannot be used.
    """
    visit = _Visit(new_client(config, client_id), settings)
    try:
        visit.client.connect(config.host, config.port, keepalive=30)
    except (OSError, ValueError) as cause:
        return Trial(failure=connect_failure(cause, settings), reachable=False)
    try:
        if visit.is_welcome():
            visit.subscribe(filters)
            visit.publish(topics, echo=config.version != "5")
    finally:
        visit.leave()
    return visit.trial


class _Visit:
    """A client for a moment."""

    def __init__(self, client: paho.Client, settings: Settings) -> None:
        self.client = client
        self.trial = Trial()
        self._settings = settings
        self._welcome = self._gone = False
        self._asked: dict[int, str] = {}
        self._sent: dict[int, str] = {}
        self._answers: dict[int, int] = {}
        self._heard: set[str] = set()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def is_welcome(self) -> bool:
        """True if the broker accepts the connection."""
        self._until(lambda: self._welcome, _ANSWER_S)
        if not self._welcome and not self.trial.failure:
            self.trial.failure = closed_early(self._settings) if self._gone else no_mqtt(self._settings)
        return self._welcome

    def subscribe(self, filters: Sequence[str]) -> None:
        for topic_filter in filters:
            _, message_id = self.client.subscribe(topic_filter, 1)
            if message_id is not None:
                self._asked[message_id] = topic_filter
        self.trial.subscriptions = self._answered(self._asked)

    def publish(self, topics: Sequence[str], *, echo: bool) -> None:
        """Probes; ``echo``: heard again, which takes the right to read them."""
        if echo and topics:
            for topic in topics:
                self.client.subscribe(topic, 1)
        for topic in topics:
            self._sent[self.client.publish(topic, PROBE, 1).mid] = topic
        found = self._answered(self._sent)
        if echo and topics:
            self._until(lambda: self._heard >= set(topics), _ECHO_S)
            found = {topic: code for topic, code in found.items() if topic in self._heard}
        self.trial.published = found

    def leave(self) -> None:
        self.client.disconnect()
        self._until(lambda: False, _TICK_S)
        sock = self.client.socket()
        if sock is not None:
            sock.close()

    def _answered(self, messages: Mapping[int, str]) -> dict[str, int]:
        self._until(lambda: self._answers.keys() >= messages.keys(), _ANSWER_S)
        return {name: self._answers[number] for number, name in messages.items() if number in self._answers}

    def _until(self, condition: Callable[[], bool], timeout_s: float) -> None:
        end_s = time.monotonic() + timeout_s
        while not condition() and not self._gone and time.monotonic() < end_s:
            if self.client.loop(_TICK_S) != paho.MQTT_ERR_SUCCESS:
                self._gone = True

    def _on_connect(
        self,
        _client: paho.Client,
        _userdata: Any,
        _flags: Any,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.trial.failure = refusal(reason, self._settings, properties)
            return
        self._welcome = True
        self.trial.limits = limits_of(properties, in_flight=IN_FLIGHT, retain=True)

    def _on_disconnect(
        self, _client: paho.Client, _userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        self._gone = True
        if flags.is_disconnect_packet_from_server and not self.trial.failure:
            self.trial.failure = refusal(reason, self._settings, properties)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: Any,
        message_id: int,
        reasons: list[ReasonCode],
        _properties: Any,
    ) -> None:
        self._answers[message_id] = max((reason.value for reason in reasons), default=0)

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, message_id: int, reason: ReasonCode, _properties: Any
    ) -> None:
        self._answers[message_id] = reason.value

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        if bytes(message.payload) == PROBE:
            self._heard.add(message.topic)
