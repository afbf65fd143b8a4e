"""How long to wait for a consumer's confirmation before sending again: pure."""

from __future__ import annotations

__all__ = ["RetryDelay"]

_SHORTEST_S = 1.0
_LONGEST_S = 30.0


class RetryDelay:
    """Mean and spread of the delays seen, as TCP does it (RFC 6298): a slow consumer is not a deaf one.

    A fixed time would send everything again to a consumer that has a long queue, and so make it longer.
    """

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._spread_s = 0.0

    def add(self, delay_s: float) -> None:
        """A result was confirmed this long after it was first sent: too long rather than too short."""
        if self._mean_s is None:
            self._mean_s, self._spread_s = delay_s, delay_s / 2
            return
        self._spread_s += (abs(delay_s - self._mean_s) - self._spread_s) / 4
        self._mean_s += (delay_s - self._mean_s) / 8

    def timeout_s(self) -> float:
        """How long to wait at least, between 1 and 30 s."""
        if self._mean_s is None:
            return _SHORTEST_S
        return min(_LONGEST_S, max(_SHORTEST_S, 2 * (self._mean_s + 4 * self._spread_s)))
