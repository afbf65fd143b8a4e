"""A result that was sent and is not confirmed yet, and the delay before it is sent again."""

from __future__ import annotations

from dataclasses import dataclass

from edgeflow.mqtt.events import Receipt

__all__ = ["NEVER", "InFlight"]

NEVER = float("-inf")
_OVERTAKEN_AFTER = 4  # attempts, made or put off; then it must not hold up those behind it
_OVERTAKEN_RETRY_S = 60.0
_PASSED_OVER = 2  # once happens to every waiting result when a consumer comes back


@dataclass(kw_only=True)
class InFlight:
    """A result that was sent ``attempts`` times, last at ``sent_s`` (monotonic), and is not confirmed.

    Attributes:
        size: bytes of its payload.
        first_s: the first of those attempts that may have reached the consumer.
        refused: how often the broker took other results and refused this one.
        refused_at: how many other results had been taken when it was last refused.
        waited: how often it was late and others were sent again instead.
        passed_over: how often it was sent again although others had been confirmed since.
        confirmed: how many results had been confirmed when it was last sent.
        receipt: names the latest message; None before the first.
        awaits_broker: True until the broker has answered the latest message.
    """

    row_id: int
    size: int = 0
    attempts: int = 0
    refused: int = 0
    refused_at: int | None = None
    waited: int = 0
    passed_over: int = 0
    confirmed: int = 0
    first_s: float = NEVER
    sent_s: float = NEVER
    receipt: Receipt | None = None
    awaits_broker: bool = False

    @property
    def is_old(self) -> bool:
        """True once it was sent, or could have been, so often that it may be overtaken."""
        return self.attempts + self.waited >= _OVERTAKEN_AFTER

    @property
    def is_overtaken(self) -> bool:
        """True once it waits for its confirmation for long: it must not hold up those behind it."""
        return self.is_old and not self.awaits_broker

    def retry_delay_s(self, usual_s: float) -> float:
        """Return the delay before it is sent again, where ``usual_s`` is the delay of all others."""
        tries = self.refused + (self.passed_over if self.passed_over >= _PASSED_OVER else 0)
        return max(usual_s, min(2.0 ** min(tries, 10), _OVERTAKEN_RETRY_S)) if tries else usual_s

    def note_attempt(self, confirmed: int) -> None:
        """Record, before it is sent, how many results were confirmed so far."""
        self.passed_over += self.attempts > 0 and confirmed > self.confirmed
        self.confirmed = confirmed
