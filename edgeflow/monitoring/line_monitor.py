"""Alarms about the line: overruns, series of NG, too many UNDECIDED, no parts, a flapping connection."""

from __future__ import annotations

from collections import deque

from edgeflow.alarms import AlarmHysteresis, Alarms
from edgeflow.config.alarms import AlarmsConfig
from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import VerdictName

__all__ = ["LineMonitor"]

_PERIODS_WITHOUT_PART = 20
_LEAST_WITHOUT_PART_S = 10.0
_CALM = 20  # scored parts, one after the other, that end the alarm of one that failed


class LineMonitor:
    """Counts parts and connections against the bounds of the box file; for the line's thread.

    Each alarm ends when half of its bound is kept, so that it does not come and go at the bound.

    Args:
        period_ms: between the triggers that the box itself makes; None where it makes none.
        now_ns: monotonic; the line begins.
    """

    def __init__(self, bounds: AlarmsConfig, alarms: Alarms, *, period_ms: float | None, now_ns: int) -> None:
        self._bounds = bounds
        self._alarms = alarms
        self._no_part_ns = _no_part_ns(bounds, period_ms)
        self._last_part_ns = now_ns
        self._window: deque[tuple[bool, bool]] = deque(maxlen=bounds.window_parts)  # undecided, overrun
        self._ng = 0
        self._failure = AlarmHysteresis(_CALM)
        self._not_recorded = ""  # the first of a series: each text is told
        self._connections = 0
        self._connected_ns: deque[int] = deque()

    def decided(self, verdict: VerdictName, *, code: ReasonCode, failure: str, now_ns: int) -> None:
        """A part was decided.

        Args:
            code: the reason; parts of a line that somebody stopped say nothing of how well it runs.
            failure: why it could not be scored; empty where it was, or needed not.
        """
        self._last_part_ns = now_ns
        self._alarms.clear("no_part")
        if code == "stopped":
            return
        self._window.append((verdict == "UNDECIDED", code == "overrun"))
        self._note_failure(failure)
        self._note_series(verdict)
        self._note_window()

    def not_recorded(self, why: str, *, what: str = "result") -> None:
        """A part was decided, but its result or its evidence could not be made or kept."""
        self._not_recorded = self._not_recorded or why
        text = f"decided parts have no {what}, the first one since {self._not_recorded}; see the log"
        self._alarms.raise_("record_failed", "error", text)

    def turn(self, now_ns: int, connections: int) -> None:
        """Look at what comes about without parts; about once a second.

        Args:
            connections: to the broker, so far.
        """
        if self._no_part_ns is not None and now_ns - self._last_part_ns > self._no_part_ns:
            text = f"no part came for {self._no_part_ns / 1e9:g} s; check the trigger and the cameras"
            self._alarms.raise_("no_part", "warning", text)
        self._connected_ns.extend([now_ns] * (connections - self._connections))
        self._connections = connections
        self._note_connections(now_ns)

    def _note_failure(self, failure: str) -> None:
        if failure:
            self._failure.bad(failure)
            text = f"parts are UNDECIDED, the first one since {self._failure.problem}; see the log"
            self._alarms.raise_("scoring_failed", "error", text)
        elif self._failure.good():
            self._alarms.clear("scoring_failed")

    def _note_series(self, verdict: VerdictName) -> None:
        self._ng = self._ng + 1 if verdict == "NG" else 0
        if self._ng >= self._bounds.ng_in_a_row:
            text = f"{self._bounds.ng_in_a_row} parts or more in a row are NG; look at parts and cameras"
            self._alarms.raise_("ng_series", "warning", text)
        elif not self._ng:
            self._alarms.clear("ng_series")

    def _note_window(self) -> None:
        bounds, parts = self._bounds, self._bounds.window_parts
        undecided = sum(undecided for undecided, _ in self._window)
        if undecided > bounds.undecided_share * parts:
            text = f"more than {bounds.undecided_share:.0%} of the last {parts} parts are UNDECIDED"
            self._alarms.raise_("undecided_rate", "error", text)
        elif undecided <= bounds.undecided_share * parts / 2:
            self._alarms.clear("undecided_rate")
        overruns = sum(overrun for _, overrun in self._window)
        if overruns >= bounds.overruns:
            text = (
                f"{bounds.overruns} or more of the last {parts} parts were not scored: too many waited; "
                "trigger more slowly, or use a faster graph"
            )
            self._alarms.raise_("overrun", "error", text)
        elif overruns <= bounds.overruns / 2:
            self._alarms.clear("overrun")

    def _note_connections(self, now_ns: int) -> None:
        bounds, times = self._bounds, self._connected_ns
        while times and now_ns - times[0] > bounds.connections_min * 60e9:
            times.popleft()
        if len(times) >= bounds.connections:
            text = (
                f"{bounds.connections} connections to the broker or more in {bounds.connections_min:g} min; "
                "check mqtt.client_id, the network and the broker's log"
            )
            self._alarms.raise_("connection_flapping", "warning", text)
        elif len(times) <= bounds.connections / 2:
            self._alarms.clear("connection_flapping")


def _no_part_ns(bounds: AlarmsConfig, period_ms: float | None) -> float | None:
    if bounds.no_part_s is not None:
        return bounds.no_part_s * 1e9
    if period_ms is None:
        return None
    return max(_LEAST_WITHOUT_PART_S * 1e9, _PERIODS_WITHOUT_PART * period_ms * 1e6)
