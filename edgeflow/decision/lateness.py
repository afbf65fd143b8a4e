"""Late decisions: counted, and an alarm while they happen."""

from __future__ import annotations

from edgeflow.alarms import AlarmHysteresis, Alarms

__all__ = ["DeadlineMonitor"]

_CALM = 50  # decisions in time, one after the other, that end the alarm


class DeadlineMonitor:
    """Counts decisions that came after the gate's deadline, or without scores for want of time."""

    def __init__(self, alarms: Alarms | None = None) -> None:
        self._alarms = alarms
        self._lateness = AlarmHysteresis(_CALM)
        self.late = 0

    def note(self, *, late: bool, deadline_ms: float) -> None:
        """One decision was made."""
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
