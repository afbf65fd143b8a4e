"""Assembler: events of capture in, view sets out, in order; pure, clock as an argument."""

from __future__ import annotations

from collections.abc import Sequence

from edgeflow.capture.events import (
    CaptureEvent,
    FrameCame,
    FrameLost,
    PartDecided,
    RecordingEnded,
    StopRequested,
    TriggerGiven,
    TriggerRefused,
)
from edgeflow.capture.sync_monitor import SyncMonitor
from edgeflow.capture.synchronizer import Synchronizer
from edgeflow.capture.view_set import ViewSet

__all__ = ["Assembler"]


class Assembler:
    """Applies events to the synchronizer, one after the other, and lets the monitor count them.

    A list of events with their times gives the same view sets every time. For one thread; only ``finishing``
    may be read by others.

    Args:
        views: of all cameras.

    Attributes:
        finishing: True from the stop, or from the end of all recordings on: no new triggers are wanted.
    """

    def __init__(self, synchronizer: Synchronizer, monitor: SyncMonitor, views: Sequence[str]) -> None:
        self._synchronizer = synchronizer
        self._monitor = monitor
        self._playing = set(views)
        self.finishing = False

    def apply(self, event: CaptureEvent, now_ns: int) -> list[ViewSet]:
        """Apply one event, then expire; return the view sets that are settled by both."""
        view_sets = [*self._apply(event, now_ns), *self._synchronizer.expire(now_ns)]
        self._monitor.settled(view_sets, self._synchronizer.mismatches)
        return view_sets

    def expire(self, now_ns: int) -> list[ViewSet]:
        """Return the view sets whose time is over."""
        view_sets = self._synchronizer.expire(now_ns)
        self._monitor.settled(view_sets, self._synchronizer.mismatches)
        return view_sets

    def next_expiry_ns(self) -> int | None:
        """Return the time when ``expire`` is due; None while nothing is in flight."""
        return self._synchronizer.next_expiry_ns()

    def _apply(self, event: CaptureEvent, now_ns: int) -> list[ViewSet]:
        match event:
            case TriggerGiven(trigger=trigger):
                self._monitor.triggered(trigger.trigger_id)
                return self._synchronizer.trigger(trigger, now_ns)
            case TriggerRefused(trigger=trigger, fault=fault):
                self._monitor.triggered(trigger.trigger_id)
                return self._synchronizer.refuse(trigger, fault)
            case FrameCame(frame=frame, arrived_ns=arrived_ns, for_part=for_part):
                self._monitor.arrived(frame, arrived_ns)
                return self._synchronizer.add(frame, now_ns) if for_part else []
            case FrameLost(view=view, trigger_id=trigger_id):
                return self._synchronizer.fail(view, trigger_id)
            case RecordingEnded(view=view):
                self._playing.discard(view)
                self.finishing = self.finishing or not self._playing
                return self._synchronizer.end(view, now_ns)
            case PartDecided():
                self._monitor.decided()
            case StopRequested():
                self.finishing = True
        return []
