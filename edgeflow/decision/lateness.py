"""Late decisions: counted, and an alarm while they happen."""

from __future__ import annotations

from edgeflow.alarms import Alarms

__all__ = ["DeadlineMonitor"]

_CALM = 50  # decisions in time, one after the other, that end the alarm


class DeadlineMonitor:
    """Counts decisions that came after the gate's deadline, or without scores for want of time."""

    def __init__(self, alarms: Alarms | None = None) -> None:
        self._alarms = alarms
        self._in_time = 0
        self.late = 0

    def note(self, *, late: bool, deadline_ms: float) -> None:
        """One decision was made."""
        self.late += late
        self._in_time = 0 if late else self._in_time + 1
        if self._alarms is None:
            return
        if late:
            text = (
                f"decisions miss the deadline of {deadline_ms:g} ms after the trigger; see durations_ms in "
                "the results, then trigger more slowly, use a faster graph, or raise decision.deadline_ms"
            )
            self._alarms.raise_("late_decisions", "error", text)
        elif self._in_time == _CALM:
            self._alarms.clear("late_decisions")
