"""Watchdog of the part loop: feeds the service manager, checks scoring and the line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from edgeflow.alarms import Alarms
from edgeflow.monitoring.line_monitor import LineMonitor
from edgeflow.station.process.service_manager import ServiceManager
from edgeflow.station.scoring_thread import ScoringThread
from edgeflow.thread_activity import overdue_threads, working

__all__ = ["LoopWatchdog"]

_PERIOD_NS = 200_000_000
_VITAL = {"synchronizer", "mqtt"}  # threads without which no part comes, or nobody hears of it
_SILENT_S = 15.0  # without a turn the line hangs


class _Link(Protocol):
    @property
    def connections(self) -> int: ...


class LoopWatchdog:
    """Called in every turn of the part loop; checks a few times a second.

    The watchdog gets its sign of life here and nowhere else: a loop that turns no more gives none, and a line
    whose scoring, synchronizer or network thread hangs gives none either, so that the service manager ends
    the box and starts it anew.
    """

    def __init__(
        self,
        *,
        scoring: ScoringThread,
        line_monitor: LineMonitor,
        manager: ServiceManager,
        link: _Link,
        alarms: Alarms,
        clock: Callable[[], int],
    ) -> None:
        self._scoring = scoring
        self._line_monitor = line_monitor
        self._manager = manager
        self._link = link
        self._alarms = alarms
        self._clock = clock
        self._next_ns = 0

    def __call__(self) -> None:
        """Check once, at most a few times a second."""
        now_ns = self._clock()
        if now_ns < self._next_ns:
            return
        self._next_ns = now_ns + _PERIOD_NS
        working(_SILENT_S)
        hanging = self._scoring.hangs()
        if hanging:
            text = "scoring does not answer, and all parts are UNDECIDED; the device hangs: restart the box"
            self._alarms.raise_("scoring_hangs", "error", text)
        else:
            self._alarms.clear("scoring_hangs")
        if not hanging and not _VITAL & set(overdue_threads(now_ns / 1e9)):
            self._manager.feed(now_ns)
        self._line_monitor.turn(now_ns, self._link.connections)
