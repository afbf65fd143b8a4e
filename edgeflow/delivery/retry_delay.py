"""Retransmission timeout: the time to wait for a confirmation before a result is sent again. Pure."""

from __future__ import annotations

__all__ = ["RetryDelay"]

_SHORTEST_S = 1.0
_LONGEST_S = 30.0


class RetryDelay:
    """Retransmission timeout from the mean and spread of the delays so far, as in TCP (RFC 6298).

    A fixed time would send everything again to a consumer that has a long queue, and so make it longer.
    """

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._spread_s = 0.0

    def add(self, delay_s: float) -> None:
        """Add the time from the first attempt of a result to its confirmation."""
        if self._mean_s is None:
            self._mean_s, self._spread_s = delay_s, delay_s / 2
            return
        self._spread_s += (abs(delay_s - self._mean_s) - self._spread_s) / 4
        self._mean_s += (delay_s - self._mean_s) / 8

    def timeout_s(self) -> float:
        """Return the timeout, between 1 and 30 s."""
        if self._mean_s is None:
            return _SHORTEST_S
        return min(_LONGEST_S, max(_SHORTEST_S, 2 * (self._mean_s + 4 * self._spread_s)))
