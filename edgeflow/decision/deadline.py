"""Time that scoring is expected to take, and the alarm on decisions that come after the deadline."""

from __future__ import annotations

import math
from collections import deque

from edgeflow.alarms import AlarmHysteresis, Alarms

__all__ = ["DeadlineMonitor", "ScoringTime"]

_REMEMBERED = 200
_ENOUGH = 20
_SHARE = 0.99
_CALM = 50  # decisions in time, one after the other, that end the alarm


class ScoringTime:
    """A running p99; a part that has less time left than that is not worth scoring.

    It must be able to hope: if a stall made the p99 exceed every deadline, nothing would be scored any more,
    and no shorter time be seen. So each part that is skipped removes the longest time from memory, and below
    ``_ENOUGH`` times there is no estimate and the next part is scored.
    """

    def __init__(self) -> None:
        self._times_ns: deque[int] = deque(maxlen=_REMEMBERED)

    def add(self, duration_ns: int) -> None:
        """Record the scoring time of a part."""
        self._times_ns.append(duration_ns)

    def p99_ns(self) -> int | None:
        """The time that 99 of 100 scorings keep; None while too few were seen."""
        if len(self._times_ns) < _ENOUGH:
            return None
        rank = math.ceil(_SHARE * len(self._times_ns))
        return sorted(self._times_ns)[rank - 1]

    def skipped(self) -> None:
        """Record a part that was not scored for want of time."""
        if self._times_ns:
            self._times_ns.remove(max(self._times_ns))


class DeadlineMonitor:
    """Counts decisions that came after the gate's deadline, or without scores for want of time."""

    def __init__(self, alarms: Alarms | None = None) -> None:
        self._alarms = alarms
        self._lateness = AlarmHysteresis(_CALM)
        self.late = 0

    def note(self, *, late: bool, deadline_ms: float) -> None:
        """Count a decision."""
        self.late += late
        if late:
            text = (
                f"decisions miss the deadline of {deadline_ms:g} ms after the trigger; see durations_ms in "
                "the results, then trigger more slowly, use a faster graph, or raise decision.deadline_ms"
            )
            self._lateness.bad(text)
            if self._alarms is not None:
                self._alarms.raise_("late_decisions", "error", text)
        elif self._lateness.good() and self._alarms is not None:
            self._alarms.clear("late_decisions")
