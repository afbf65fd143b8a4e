"""A result on its way to its consumer, and how long to wait before it is sent again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from edgeflow.mqtt.events import Receipt

__all__ = ["NEVER", "SentResult", "mark_replayed"]

NEVER = float("-inf")
_OVERTAKEN_AFTER = 4  # sends; a result that nobody confirms then must not hold up those behind it
_OVERTAKEN_RETRY_S = 60.0
_PASSED_OVER = 2  # once happens to whatever waits when a consumer comes back


@dataclass(kw_only=True)
class SentResult:
    """A result on its way: sent ``attempts`` times, last at ``sent_s`` (monotonic).

    Attributes:
        size: of its payload.
        first_s: the first of those sends that may have reached the consumer.
        refused: how often the broker took others and not this one.
        refused_at: how many others had been taken when it was last refused.
        passed_over: how often it was sent again although others had been confirmed since.
        confirmed: how many had been when it was last sent.
    """

    row_id: int
    size: int = 0
    attempts: int = 0
    refused: int = 0
    refused_at: int | None = None
    passed_over: int = 0
    confirmed: int = 0
    first_s: float = NEVER
    sent_s: float = NEVER
    receipt: Receipt | None = None
    in_flight: bool = False

    @property
    def is_overtaken(self) -> bool:
        """Sent often, never confirmed: it must not hold up those behind it."""
        return self.attempts >= _OVERTAKEN_AFTER and not self.in_flight

    def patience_s(self, retry_s: float) -> float:
        """How long to wait before it is sent again, where others wait ``retry_s``."""
        tries = self.refused + (self.passed_over if self.passed_over >= _PASSED_OVER else 0)
        return max(retry_s, min(2.0 ** min(tries, 10), _OVERTAKEN_RETRY_S)) if tries else retry_s

    def sent_again(self, confirmed: int) -> None:
        """Note, before it is sent, how many results were confirmed so far."""
        self.passed_over += self.attempts > 0 and confirmed > self.confirmed
        self.confirmed = confirmed


_AS_STORED = b',"replayed":false,"attempt":1}'  # the last fields of every record that is delivered


def mark_replayed(payload: bytes, record: dict[str, Any], *, replayed: bool, attempt: int) -> bytes:
    """The payload for one sending.

    Args:
        payload: as stored; only its end is changed, which costs less than writing the record anew.
        record: the same, read; for what an earlier edgeflow stored with its fields in another order.
    """
    if payload.endswith(_AS_STORED):
        copy = f',"replayed":{"true" if replayed else "false"},"attempt":{attempt}}}'
        return payload.removesuffix(_AS_STORED) + copy.encode()
    record = record | {"replayed": replayed, "attempt": attempt}
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
