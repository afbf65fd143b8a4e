"""Events of the link to the broker, for its listener."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Acked", "Confirmed", "Connected", "LinkEvent", "Lost", "Oversize", "Receipt"]


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """Names one message handed to the network: the connection's number and the message id in it."""

    connection: int
    message_id: int


@dataclass(frozen=True, kw_only=True)
class Oversize:
    """A message that was not handed to the network: it is larger than the broker's limit.

    Attributes:
        size: of the whole packet, in bytes.
        limit: what the broker announced.
    """

    size: int
    limit: int


@dataclass(frozen=True, kw_only=True)
class Connected:
    """A connection was accepted; nothing that was in flight before it will be confirmed any more."""

    connection: int


@dataclass(frozen=True, kw_only=True)
class Lost:
    """A connection has ended.

    Attributes:
        in_flight: keys of all messages that waited for the broker's answer then, results and others.
        judged: whether one that was alone may be the reason; not where the box ended the connection itself.
    """

    connection: int
    in_flight: tuple[str, ...]
    judged: bool


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The broker's answer to one message: an MQTT reason code (0 success, 0x10 nobody subscribed)."""

    receipt: Receipt
    reason_code: int


@dataclass(frozen=True, kw_only=True)
class Acked:
    """A consumer has confirmed these results."""

    result_ids: tuple[str, ...]


LinkEvent = Connected | Lost | Confirmed | Acked
