"""What the box hears over MQTT: topic filters and who handles their messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as paho

from edgeflow.clock import monotonic_ns

__all__ = ["Handler", "Incoming", "Subscriptions"]

logger = logging.getLogger(__name__)

_QOS = 1


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One message that came in.

    Attributes:
        retained: the broker had kept it: it may be of any age.
        duplicate: the broker may have sent it before (QoS 1).
        received_ns: monotonic.
        response_topic: where an answer is wanted; empty where none is (or with MQTT 3.1.1).
        correlation: what the answer has to carry (MQTT 5).
    """

    topic: str
    payload: bytes
    retained: bool
    duplicate: bool
    received_ns: int
    response_topic: str = ""
    correlation: bytes = b""


Handler = Callable[[Incoming], None]
"""Called on the network thread: neither blocks nor takes a lock that is held while publishing."""


class Subscriptions:
    """Topic filters with their handlers; what is too large for its handler is refused unread."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Handler, int]] = {}

    def add(self, topic_filter: str, handler: Handler, *, max_bytes: int) -> None:
        """Hear a topic (``+`` and ``#`` allowed) from the next connection on."""
        self._handlers[topic_filter] = (handler, max_bytes)

    def subscribe_all(self, client: paho.Client) -> None:
        """Ask the broker for everything; after every connection, since none outlives one."""
        for topic_filter in self._handlers:
            client.subscribe(topic_filter, _QOS)

    def dispatch(self, message: paho.MQTTMessage) -> None:
        """Give a message to its handler; one that fails is logged and costs nothing else."""
        received_ns = monotonic_ns()
        for topic_filter, (handler, max_bytes) in self._handlers.items():
            if not paho.topic_matches_sub(topic_filter, message.topic):
                continue
            if len(message.payload) > max_bytes:
                logger.warning("%s: ignored, %d bytes", message.topic, len(message.payload))
                continue
            try:
                handler(_incoming(message, received_ns))
            except Exception:  # else paho would end the connection
                logger.exception("%s: its handler failed", message.topic)


def _incoming(message: paho.MQTTMessage, received_ns: int) -> Incoming:
    properties = message.properties
    return Incoming(
        topic=message.topic,
        payload=bytes(message.payload),
        retained=message.retain,
        duplicate=message.dup,
        received_ns=received_ns,
        response_topic=getattr(properties, "ResponseTopic", ""),
        correlation=getattr(properties, "CorrelationData", b""),
    )
