"""Triggers that clients give by a method; they reach the box on its topic for triggers, like any others."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from concurrent.futures import Future

import paho.mqtt.client as paho

from edgeflow.clock import utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.topics import Topics
from edgeflow.mqtt.broker.answers import rights_refusal
from edgeflow.mqtt.client import check_files
from edgeflow.mqtt.connection import Connection, LiveConnection
from edgeflow.mqtt.properties import PublishProperties
from edgeflow.mqtt.socket_loop import on_publish

__all__ = ["SoftTriggers", "TriggerNotGivenError"]

logger = logging.getLogger(__name__)

_REFUSED_FIRST = 0x80
_LONGEST_NAME = 128
_MOST_WAITING = 100
_EXPIRY_S = 10  # a broker does not keep it for a box that comes later


class TriggerNotGivenError(Exception):
    """The broker did not take the trigger; the text says why."""


class SoftTriggers:
    """A connection of its own to the box's broker, which a trigger goes through like one of any controller.

    The box accepts, orders and answers it by its own rules: also a trigger that nobody wanted twice.
    """

    def __init__(self, config: BoxConfig) -> None:
        self._config = config
        self._topic = Topics(root=config.topic_root).trigger
        self._lock = threading.Lock()
        self._waiting: dict[str, Future[None]] = {}
        self._connection = Connection(
            config.mqtt,
            f"{config.device_name}-opcua",
            prepare=self._prepare,
            greet=lambda _: None,
            tend=self._tend,
            ended=self._ended,
            problem_changed=lambda: None,
        )

    @staticmethod
    def fit(config: BoxConfig) -> bool:
        """Return True if this box's triggers are messages."""
        return config.trigger.source == "mqtt"

    def start(self) -> None:
        """Connect in the background.

        Raises:
            ConfigError: a file of the section ``mqtt`` is missing.
        """
        check_files(self._config.mqtt)
        self._connection.start()

    def stop(self) -> None:
        """Disconnect."""
        self._connection.stop(lambda _: None)

    def give(self, trigger_id: str, part_id: str, product: str, user: str) -> tuple[str, Future[None]]:
        """Send a trigger; return its id, and what is done once the broker has it.

        Args:
            trigger_id: empty for one that is made here.
            part_id: empty where the part has no name of its own.
            product: empty where the trigger does not say it.
            user: who gave it, for the result's context.

        Raises:
            TriggerNotGivenError: there is no connection, or the trigger cannot be one.
        """
        trigger_id = trigger_id or uuid.uuid4().hex
        live = self._connection.live
        if live is None:
            raise TriggerNotGivenError(f"no connection to the broker: {self._connection.problem}")
        payload = self._message(trigger_id, part_id, product, user)
        answered: Future[None] = Future()
        with self._lock:
            if trigger_id in self._waiting or len(self._waiting) >= _MOST_WAITING:
                raise TriggerNotGivenError(f"trigger {trigger_id!r} is under way, or too many are")
            self._waiting[trigger_id] = answered
        with_properties = self._config.mqtt.version == "5"
        properties = PublishProperties({}, content_type="application/json", expiry_s=_EXPIRY_S)
        sent = live.wire.publish(
            self._topic, payload, key=trigger_id, properties=properties if with_properties else None
        )
        if sent.rc != paho.MQTT_ERR_SUCCESS:
            self.forget(trigger_id)
            raise TriggerNotGivenError(f"the broker takes nothing: {paho.error_string(sent.rc)}")
        return trigger_id, answered

    def forget(self, trigger_id: str) -> None:
        """Wait for its answer no more."""
        with self._lock:
            self._waiting.pop(trigger_id, None)

    def _message(self, trigger_id: str, part_id: str, product: str, user: str) -> bytes:
        document = {"schema": "edgeflow/trigger/1", "trigger_id": trigger_id, "at": utc_text()}
        document["opcua_user"] = user
        if part_id:
            document["part_id"] = part_id
        if product:
            field = self._config.trigger.product
            if field is None:
                raise TriggerNotGivenError(
                    "this box's triggers name no product (trigger.product): choose it by SelectProduct"
                )
            document[field] = product
        if max(map(len, (trigger_id, part_id, product))) > _LONGEST_NAME:
            raise TriggerNotGivenError(f"a name has more than {_LONGEST_NAME} letters")
        return json.dumps(document, ensure_ascii=False).encode()

    def _prepare(self, client: paho.Client) -> None:
        client.on_publish = on_publish

    def _tend(self, live: LiveConnection) -> str:
        for _, sent, reason in live.wire.answers():
            with self._lock:
                answered = self._waiting.pop(sent.key, None)
            if answered is None:
                continue
            if reason >= _REFUSED_FIRST:
                text = f"{sent.topic}: the broker refuses it: {rights_refusal(reason)}"
                logger.warning("%s", text)
                answered.set_exception(TriggerNotGivenError(text))
            else:
                answered.set_result(None)
        return ""

    def _ended(self, _live: LiveConnection) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for answered in waiting.values():
            answered.set_exception(
                TriggerNotGivenError(
                    "the connection to the broker ended; the trigger may have arrived or not"
                )
            )
