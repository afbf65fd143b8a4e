"""Limits that a broker announces in its CONNACK, and the size of a packet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from paho.mqtt.properties import Properties

__all__ = ["IN_FLIGHT", "BrokerLimits", "limits_of", "publish_bytes"]

IN_FLIGHT = 20  # what Mosquitto announces, and what a broker takes that announces nothing


@dataclass(frozen=True, kw_only=True)
class BrokerLimits:
    """Limits of one connection.

    Attributes:
        packet_bytes: the largest whole packet; None where the broker announces none.
        in_flight: how many messages may wait for the broker's answer.
        retain: whether it keeps retained messages.
        wildcards: whether subscriptions may have them.
    """

    packet_bytes: int | None = None
    in_flight: int = IN_FLIGHT
    retain: bool = True
    wildcards: bool = True


def limits_of(properties: Any, *, in_flight: int, retain: bool) -> BrokerLimits:
    """Return the limits in a CONNACK's properties (MQTT 5, 3.2.2.3); MQTT 3.1.1 has none.

    Args:
        in_flight, retain: what is known from before, and what a CONNACK can only lower.
    """
    return BrokerLimits(
        packet_bytes=getattr(properties, "MaximumPacketSize", None),
        in_flight=min(in_flight, getattr(properties, "ReceiveMaximum", in_flight)),
        retain=retain and bool(getattr(properties, "RetainAvailable", 1)),
        wildcards=bool(getattr(properties, "WildcardSubscriptionAvailable", 1)),
    )


def publish_bytes(topic: str, payload: bytes, properties: Properties | None) -> int:
    """Return the size of a whole PUBLISH packet at QoS 1 (MQTT 5, 3.3).

    Args:
        properties: None for MQTT 3.1.1, whose packets have no place for them.
    """
    rest = 2 + len(topic.encode()) + 2 + len(payload)
    if properties is not None:
        rest += len(properties.pack())  # type: ignore[no-untyped-call]
    digits = 1 + sum(rest >= 128**power for power in (1, 2, 3))
    return 1 + digits + rest
