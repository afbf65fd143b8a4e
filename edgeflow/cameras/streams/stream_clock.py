"""Capture times of a stream's pictures, from the stream's own time or from its pace. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import fmean, median

__all__ = ["Moment", "PaceClock", "StreamClock"]

_DRIFT = 200e-6  # clocks of cameras and computers differ by 100 ppm at most
_LOWERED_NS = 10_000_000
_ON_TIME_NS = 50_000_000
_OFTEN_NS = 5 * 10**9  # a network that only holds pictures up lets one through in time now and then
_SETTLE_NS = 500_000_000  # many servers send a stored second of pictures first, faster than they were taken

_FIRST_STEPS = 10
_STEPS = 250
_EXACT = 1.001  # the measured pace is as good as this
_TOLERANCE = 0.75  # of the time between two pictures: one that the camera left out is never overlooked
_LEAST_NS, _MOST_NS = 25_000_000, 100_000_000
_SMALL_GAP = 5  # pictures; a pace that is regular again after so few proves that nothing is waiting
_SAME_PACE = 0.025
_REGULAR = 0.25
_ANEW_NS = 3 * 10**9
_BEHIND_NS = 500_000_000
_WAITED_NS = 2_000_000  # longer than it takes to read a picture that is there


@dataclass(frozen=True, kw_only=True)
class Moment:
    """Capture time of a picture.

    Attributes:
        captured_ns: monotonic.
        late_ns: by how much its way was longer than the usual one.
        usable: False where the picture is late, or nobody can say whether it is.
    """

    captured_ns: int
    late_ns: int
    usable: bool


class StreamClock:
    """The stream's own time on the computer's clock: a picture that was held up keeps its moment.

    A picture never arrives before it was taken, so the offset of both clocks is at most the smallest
    ``arrival - stream time`` seen so far. This bound is kept for as long as the stream's time goes on: it
    only rises as fast as clocks drift apart. Pictures are usable once it has been steady for half a second.

    Where every picture is late for seconds, the stream's time does not keep step with the computer's: stamps
    fall behind by an unknown part of that lateness, so that late pictures are no longer usable.

    Args:
        max_late_ns: pictures that are later than this are not usable.
    """

    def __init__(self, *, max_late_ns: int) -> None:
        self._max_late_ns = max_late_ns
        self._last: tuple[int, int] | None = None  # stream time and arrival of the latest picture
        self._bound_ns = 0
        self._steady_since_ns = self._on_time_ns = 0

    def moment(self, stream_ns: int, arrived_ns: int) -> Moment:
        """Return the capture time of a picture.

        Args:
            stream_ns: the stream's own time of it. One that does not go on is a clock set anew; one that
                jumps ahead lowers the bound, which then has to be steady again.
            arrived_ns: monotonic.
        """
        offset_ns = arrived_ns - stream_ns
        limit_ns = self._crept(arrived_ns)
        if self._last is None or stream_ns <= self._last[0]:
            limit_ns = offset_ns
            self._steady_since_ns = arrived_ns
        elif offset_ns < limit_ns - _LOWERED_NS:
            self._steady_since_ns = arrived_ns
        self._bound_ns = min(limit_ns, offset_ns)
        self._last = stream_ns, arrived_ns
        late_ns = offset_ns - self._bound_ns
        steady = arrived_ns - self._steady_since_ns >= _SETTLE_NS
        if late_ns <= _ON_TIME_NS:
            self._on_time_ns = arrived_ns
        in_step = arrived_ns - self._on_time_ns <= _OFTEN_NS
        return Moment(
            captured_ns=stream_ns + self._bound_ns,
            late_ns=late_ns,
            usable=steady and in_step and late_ns <= self._max_late_ns,
        )

    def _crept(self, arrived_ns: int) -> int:
        """The bound, after the clocks may have drifted apart since the latest picture."""
        if self._last is None:
            return 0
        return self._bound_ns + round((arrived_ns - self._last[1]) * _DRIFT)


class PaceClock:
    """For streams without a time of their own (MJPEG over HTTP): what comes behind the pace was held up.

    Pictures are taken at an even pace. Each one that comes later than the pace adds to a debt, and each one
    that comes sooner pays it off; while there is a debt, pictures come out of a queue. A debt that is not
    paid off means that the camera left pictures out: it ends when a few pictures have come at the usual pace,
    or, after a long gap, when the pace is measured anew. That all pictures come late by the same time cannot
    be noticed without a time in the stream.
    """

    def __init__(self) -> None:
        self._arrived_ns: int | None = None
        self._fresh_ns = self._waited_at_ns = 0
        self._begin()

    def moment(self, arrived_ns: int, *, waited_ns: int) -> Moment:
        """Return the capture time of a picture.

        Args:
            arrived_ns: monotonic.
            waited_ns: how long its reader waited for it; one who never waits is behind.
        """
        if self._arrived_ns is None or waited_ns > _WAITED_NS:
            self._waited_at_ns = arrived_ns
        if self._arrived_ns is not None:
            self._step(arrived_ns - self._arrived_ns)
            if self._late and arrived_ns - self._fresh_ns > _ANEW_NS:
                self._begin()
        self._arrived_ns = arrived_ns
        behind = arrived_ns - self._waited_at_ns > _BEHIND_NS
        if not self._late:
            self._fresh_ns = arrived_ns
        late_ns = round(self._debt_ns)
        return Moment(captured_ns=arrived_ns - late_ns, late_ns=late_ns, usable=not (self._late or behind))

    def _begin(self) -> None:
        """Measure the pace, with nothing known."""
        self._recent: deque[int] = deque(maxlen=_FIRST_STEPS)
        self._steps: deque[int] = deque(maxlen=_STEPS)  # of pictures that were not late
        self._pace_ns: float | None = None  # the usual time between two pictures, once it is known
        self._debt_ns = 0.0
        self._fresh_ns = self._arrived_ns or 0
        self._waited_at_ns = self._arrived_ns or 0

    def _step(self, step_ns: int) -> None:
        was_late = self._late
        self._recent.append(step_ns)
        if self._pace_ns is not None:
            self._debt_ns = max(0.0, self._debt_ns + step_ns - self._pace_ns * _EXACT)
            if self._is_regular_again(self._pace_ns):
                self._debt_ns = 0.0
        if not (was_late or self._late):
            self._steps.append(step_ns)
            if len(self._steps) >= _FIRST_STEPS:
                exact = len(self._steps) >= 2 * _FIRST_STEPS
                self._pace_ns = fmean(self._steps) if exact else median(self._steps)

    @property
    def _late(self) -> bool:
        if self._pace_ns is None:
            return False
        return self._debt_ns > min(max(_TOLERANCE * self._pace_ns, _LEAST_NS), _MOST_NS)

    def _is_regular_again(self, pace_ns: float) -> bool:
        recent = self._recent
        even = len(recent) == _FIRST_STEPS and max(recent) - min(recent) < _REGULAR * pace_ns
        return (
            even
            and self._debt_ns <= _SMALL_GAP * pace_ns
            and abs(fmean(recent) - pace_ns) < _SAME_PACE * pace_ns
        )
