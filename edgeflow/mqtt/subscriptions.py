"""Subscriptions of the box: topic filters with the handlers of their messages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import paho.mqtt.client as paho

from edgeflow.clock import monotonic_ns
from edgeflow.rate_limit import RateLimit

__all__ = ["Handler", "Incoming", "Subscriptions"]

logger = logging.getLogger(__name__)

_LINES, _LINE_EVERY_NS = 20, 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One received message.

    Attributes:
        retained: the broker had kept it: it may be of any age.
        duplicate: the broker may have sent it before (QoS 1).
        received_ns: monotonic.
        response_topic: where an answer is wanted; empty where none is (or with MQTT 3.1.1).
        correlation: what the answer has to carry (MQTT 5).
        size: bytes of the payload as it came; more than is there where it was too large to be kept.
    """

    topic: str
    payload: bytes
    retained: bool
    duplicate: bool
    received_ns: int
    response_topic: str = ""
    correlation: bytes = b""
    size: int = 0


Handler = Callable[[Incoming], None]
"""Called on the network thread: neither blocks nor takes a lock that is held while publishing."""


class Subscriptions:
    """Topic filters with their handlers; a message that is too large for its handler is refused unread."""

    def __init__(self) -> None:
        self._handlers: dict[str, tuple[Handler, int, bool]] = {}
        self._lines = RateLimit(at_once=_LINES, every_ns=_LINE_EVERY_NS)

    def add(
        self, topic_filter: str, handler: Handler, *, max_bytes: int, report_larger: bool = False
    ) -> None:
        """Subscribe to a topic (``+`` and ``#`` allowed) from the next connection on.

        Args:
            report_larger: a message over ``max_bytes`` is handed over without its payload, to be answered.
        """
        # Replaced, not changed: another thread may be going through it.
        self._handlers = {**self._handlers, topic_filter: (handler, max_bytes, report_larger)}

    @property
    def filters(self) -> tuple[str, ...]:
        """Topic filters to subscribe to after every connection, since no subscription outlives one."""
        return tuple(self._handlers)

    def dispatch(self, message: paho.MQTTMessage) -> None:
        """Pass a message to its handler; an error in a handler is logged and affects nothing else."""
        received_ns = monotonic_ns()
        try:
            topic = message.topic
        except UnicodeDecodeError:  # else it would end this connection, and retained, every one
            logger.warning("a message on a topic that is not UTF-8 is ignored")
            return
        for topic_filter, (handler, max_bytes, report_larger) in self._handlers.items():
            if topic_filter != topic and not _covers(topic_filter, topic):
                continue
            if len(message.payload) > max_bytes and not report_larger:
                if self._lines.allows(received_ns):
                    logger.warning("%s: ignored, %d bytes", message.topic, len(message.payload))
                continue
            try:
                handler(_incoming(message, received_ns, max_bytes))
            except Exception:  # else paho would end the connection
                logger.exception("%s: its handler failed", message.topic)


def _covers(topic_filter: str, topic: str) -> bool:
    """Return True where a filter with wildcards covers the topic; paho's own look at one takes longer."""
    return ("+" in topic_filter or "#" in topic_filter) and paho.topic_matches_sub(topic_filter, topic)


def _incoming(message: paho.MQTTMessage, received_ns: int, max_bytes: int) -> Incoming:
    properties = message.properties
    return Incoming(
        topic=message.topic,
        payload=bytes(message.payload) if len(message.payload) <= max_bytes else b"",
        size=len(message.payload),
        retained=message.retain,
        duplicate=message.dup,
        received_ns=received_ns,
        response_topic=getattr(properties, "ResponseTopic", ""),
        correlation=getattr(properties, "CorrelationData", b""),
    )
