"""A result on its way to its consumer, and how long to wait before it is sent again."""

from __future__ import annotations

from dataclasses import dataclass

from edgeflow.link_events import Receipt

__all__ = ["NEVER", "SentResult"]

NEVER = float("-inf")
_OVERTAKEN_AFTER = 4  # sends; a result that nobody confirms then must not hold up those behind it
_OVERTAKEN_RETRY_S = 60.0


@dataclass(kw_only=True)
class SentResult:
    """A result on its way: sent ``attempts`` times, last at ``sent_s`` (monotonic).

    ``first_s`` is the first of those sends that may have reached the consumer. ``refused`` counts what the
    broker did not take, ``size`` is the payload's.
    """

    @property
    def is_overtaken(self) -> bool:
        return self.attempts >= _OVERTAKEN_AFTER and not self.in_flight

    def patience_s(self, retry_s: float) -> float:
        """How long to wait before it is sent again, where others wait ``retry_s``."""
        doubled_s = 2.0 ** min(self.attempts, 10)
        if self.refused or self.is_overtaken:
            return max(retry_s, min(doubled_s, _OVERTAKEN_RETRY_S))
        return retry_s

    row_id: int
    size: int = 0
    attempts: int = 0
    refused: int = 0
    first_s: float = NEVER
    sent_s: float = NEVER
    receipt: Receipt | None = None
    in_flight: bool = False
