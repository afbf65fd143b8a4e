"""How long scoring may take, from the parts scored last: pure."""

from __future__ import annotations

import math
from collections import deque

__all__ = ["ScoringTime"]

_REMEMBERED = 200
_ENOUGH = 20
_SHARE = 0.99


class ScoringTime:
    """A running p99; a part that has less time left than that is not worth scoring.

    It must be able to hope: if a stall made the p99 exceed every deadline, nothing would be scored any more,
    and no shorter time be seen. So each part given up removes the longest time from memory, and below
    ``_ENOUGH`` times there is no estimate and the next part is scored.
    """

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque(maxlen=_REMEMBERED)

    def add(self, duration_ns: int) -> None:
        """A part was scored in this time."""
        self._times_ns.append(duration_ns)

    def p99_ns(self) -> int | None:
        """The time that 99 of 100 scorings keep; None while too few were seen."""
        if len(self._times_ns) < _ENOUGH:
            return None
        rank = math.ceil(_SHARE * len(self._times_ns))
        return sorted(self._times_ns)[rank - 1]

    def given_up(self) -> None:
        """A part was not scored for want of time."""
        if self._times_ns:
            self._times_ns.remove(max(self._times_ns))
