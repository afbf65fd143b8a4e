"""Answers of a broker in plain words: the reason, and what to do (MQTT 5, 2.4)."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

__all__ = [
    "NOBODY_SUBSCRIBED",
    "PAYLOAD_INVALID",
    "RETAIN_NOT_SUPPORTED",
    "TOO_LARGE",
    "WILDCARDS_NOT_SUPPORTED",
    "Settings",
    "closed_early",
    "no_mqtt",
    "refusal",
    "rights_refusal",
]

NOBODY_SUBSCRIBED = 0x10
TOO_LARGE = 0x95
PAYLOAD_INVALID = 0x99
RETAIN_NOT_SUPPORTED = 0x9A
WILDCARDS_NOT_SUPPORTED = 0xA2


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings to check for each kind of failure, in the user's terms."""

    address: str
    credentials: str
    tls: str
    client_id: str
    version: str


_CHECK_CREDENTIALS = (0x86, 0x87, 0x8C)
_CHECK_VERSION = (0x84,)
_CHECK_CLIENT_ID = (0x85, 0x8E)
_REMEDIES = {
    0x80: "see the broker's log",
    0x81: "see the broker's log; try the other mqtt.version",
    0x82: "see the broker's log; try the other mqtt.version",
    0x83: "see the broker's log",
    0x88: "wait until the broker is ready, or see its log",
    0x89: "the broker has too much to do; it is tried again",
    0x8A: "the broker has banned this client or address; ask who runs it",
    0x8B: "the broker is shutting down; it is tried again",
    0x8D: "nothing was heard of this client for too long; check the network",
    0x8F: "a subscription is not allowed; see the broker's log",
    0x90: "a topic is not allowed; check mqtt.root and station",
    0x93: "more messages in flight than the broker takes; please report this",
    0x95: "a message is larger than the broker takes; raise its limit (Mosquitto: max_packet_size)",
    0x96: "more messages a second than the broker takes; raise its limit",
    0x97: "a quota of the broker is used up; raise it",
    0x98: "ended by whoever runs the broker",
    0x99: "the broker takes no JSON there; see its log",
    0x9A: "the broker keeps no retained messages; it is tried again without them",
    0x9B: "the broker does not take QoS 1, which the box needs; allow it there",
    0x9C: "check the address: another server is to be used",
    0x9D: "check the address: the server has moved",
    0x9F: "too many connections a second; it is tried again",
    0xA0: "the broker ends every connection after some time; raise that limit",
    0xA2: "the broker allows no wildcards in subscriptions; allow them",
}


def refusal(reason: ReasonCode, settings: Settings, properties: Any = None) -> str:
    """Return why the broker refused or ended a connection, and what to check."""
    said = f"{reason}{_more(properties)}"
    if reason.value in _CHECK_CREDENTIALS:
        return f"refused: {said}; check {settings.credentials}, and this user's rights at the broker"
    if reason.value in _CHECK_VERSION:
        return f"refused: {said}; check {settings.version}"
    if reason.value in _CHECK_CLIENT_ID:
        return f"refused: {said}; does another client use the same id? check {settings.client_id}"
    if reason.value in _REMEDIES:
        return f"closed: {said}; {_REMEDIES[reason.value]}"
    return f"closed: {said}"


def closed_early(settings: Settings) -> str:
    """Return the text for a connection that the broker closes without an answer."""
    return (
        f"the broker ends the connection before it accepts it; check {settings.version}, {settings.tls}, "
        f"{settings.client_id}, and this user's rights"
    )


def no_mqtt(settings: Settings) -> str:
    """Return the text for a connection on which no answer comes."""
    return (
        f"accepts connections but does not speak MQTT, or is stalled; check the broker and {settings.address}"
    )


def rights_refusal(reason_code: int) -> str:
    """Return the text for the refusal of a message or subscription, and what to do."""
    words = _words(reason_code)
    if reason_code in (0x80, 0x87):
        return f"{words}; give this user the right at the broker"
    return f"{words}; {_REMEDIES.get(reason_code, _REMEDIES[0x83])}"


def _words(reason_code: int) -> str:
    for kind in (PacketTypes.PUBACK, PacketTypes.SUBACK, PacketTypes.DISCONNECT):
        with contextlib.suppress(KeyError, ValueError):
            return f"{ReasonCode(kind, identifier=reason_code)} (0x{reason_code:02X})"
    return f"reason 0x{reason_code:02X}"


def _more(properties: Any) -> str:
    """Return the broker's own reason, printable and shortened."""
    parts = [str(getattr(properties, name, "") or "")[:200] for name in ("ReasonString", "ServerReference")]
    text = ", ".join(part for part in parts if part)
    return f" ({''.join(c if c.isprintable() else '?' for c in text)})" if text else ""
