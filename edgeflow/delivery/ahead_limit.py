"""Limit of results that are sent ahead of their confirmation: it follows how fast the consumer is. Pure."""

from __future__ import annotations

__all__ = ["AheadLimit"]

_MOST = 300  # bounds the load of a slow or absent consumer on the broker
_FEWEST = 30
_QUEUE_S = (1.0, 2.0)  # a result waits so long at a consumer that is busy, and no longer
_FORGET = 4096  # confirmations after which the quickest of them hardly counts


class AheadLimit:
    """Grows by one with each quick confirmation and shrinks by one with each slow one, between 30 and 300.

    Many boxes that wait for one consumer would else send it all they may when it comes back. What then waits
    there for many seconds is taken for lost, and sent again. As in TCP Vegas, a confirmation is slow or quick
    by comparison with the quickest one.
    """

    def __init__(self) -> None:
        self._limit = _MOST  # until a consumer confirms anything; one that only reads sees as many
        self._quickest_s: float | None = None
        self._heard = False  # a confirmation since the limit began anew

    @property
    def limit(self) -> int:
        """Number of results."""
        return self._limit

    def confirmed(self, delay_s: float) -> None:
        """Add the time from the first attempt of a result to its confirmation."""
        self._heard = True
        if self._quickest_s is None:
            self._quickest_s = delay_s
        self._quickest_s = min(delay_s, self._quickest_s + (delay_s - self._quickest_s) / _FORGET)
        queued_s = delay_s - self._quickest_s
        if queued_s < _QUEUE_S[0]:
            self._limit = min(_MOST, self._limit + 1)
        elif queued_s > _QUEUE_S[1]:
            self._limit = max(_FEWEST, self._limit - 1)

    def begin_anew(self) -> None:
        """Begin with few: results wait since there was no connection, or nobody who took them."""
        if self._quickest_s is not None:
            self._limit, self._heard = _FEWEST, False

    def late(self) -> None:
        """Begin anew as results are late; double where none was confirmed since: some wait for many."""
        if self._heard:
            self.begin_anew()
        else:
            self._limit = min(_MOST, 2 * self._limit)
