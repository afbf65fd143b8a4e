"""Matching of hardware-triggered cameras' frames by their counters, cross-checked with time."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from edgeflow.cameras.camera import Frame
from edgeflow.cameras.genicam.counter_unwrapping import UnwrappedCounter
from edgeflow.capture.matching.by_time import ByTime
from edgeflow.capture.matching.exposure import moment
from edgeflow.capture.matching.matcher import MatchingRules
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet

__all__ = ["ByCounter"]

_AHEAD = 8  # a camera more triggers ahead of the oldest open set than this has jumped
_PAST = 16  # closed sets of which the moment is remembered, for frames that come after them
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)
_STEADY_NS = 10 * 10**9  # so long, two cameras' clocks drift apart by less than a millisecond


@dataclass(kw_only=True)
class _Open:
    """A trigger that at least one counter showed."""

    at_ns: int
    frames: dict[str, Frame] = field(default_factory=dict)


class ByCounter:
    """Counter offsets are locked when frames of all views agree in time (arming); from then on counters pair.

    Every frame is cross-checked with those of the same and of neighbouring triggers: by capture stamps,
    which may be ``window_ns`` apart, and by the cameras' own clocks, which may not be further apart than
    ``max_skew_ns``; without such clocks the stamps have to be as near. A contradiction (a pulse that one
    camera missed, or saw too many, a counter that began anew) ends this: what is open is matched by time
    again, until offsets can be locked anew. So a set never holds frames that time says are of different
    parts.

    Attributes:
        mismatches, mismatch: how many contradictions there were, and the latest one.
    """

    def __init__(self, rules: MatchingRules) -> None:
        self._rules = rules
        self._counters = {view: UnwrappedCounter() for view in rules.views}
        self._loose = replace(rules, max_skew_ns=max(rules.window_ns, rules.max_skew_ns), own_views=None)
        self._arming: ByTime | None = ByTime(self._loose)
        self._offsets: dict[str, int] = {}
        self._next = 0  # the oldest open set
        self._open: dict[int, _Open] = {}
        self._past: deque[tuple[int, list[Frame]]] = deque(maxlen=_PAST)
        self._reference: Mapping[str, Frame] = {}  # frames of one moment, to compare the cameras' clocks
        self._ended: set[str] = set()
        self._stamps: dict[str, int] = {}
        self._gap_ns_least = _STEADY_NS
        self.mismatches = 0
        self.mismatch = ""

    def trigger(self, trigger: Trigger) -> list[ViewSet]:  # noqa: ARG002 - the cameras have their own line
        """Ignore a trigger: cameras have a trigger line of their own."""
        return []

    def refuse(self, trigger: Trigger, fault: str) -> list[ViewSet]:
        """Make the set of a refused trigger, without frames."""
        return [self._rules.refused(trigger, fault)]

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:  # noqa: ARG002 - counters tell
        """Ignore a lost frame: the counters show it."""
        return []

    def add(self, frame: Frame) -> list[ViewSet]:
        """Take a frame; return the sets that it settles."""
        position = self._counters[frame.view].position(frame)
        if self._arming is not None:
            return self._arm(self._arming, [frame])
        index = position - self._offsets[frame.view]
        contradiction = self._contradiction(frame, index)
        if contradiction:
            return self._rearm(frame, contradiction)
        if index < self._next or frame.view in self._open_at(index, frame).frames:
            return []  # too late for its set, or there already
        self._open[index].frames[frame.view] = frame
        return self._settled()

    def end(self, view: str) -> list[ViewSet]:
        """Take the end of a view's recording."""
        self._ended.add(view)
        if self._arming is not None:
            return self._strict(self._arming.end(view))
        over = self._ended.issuperset(self._rules.views)
        return [self._close_first() for _ in range(len(self._open))] if over else []

    def expire(self, now_ns: int) -> list[ViewSet]:
        """Return the sets whose time is over."""
        if self._arming is not None:
            return self._strict(self._arming.expire(now_ns))
        sets = []
        while self._open and self._open[self._next].at_ns + self._rules.timeout_ns <= now_ns:
            sets += [self._close_first(), *self._settled()]
        return sets

    def next_expiry_ns(self) -> int | None:
        """Return the time when ``expire`` is due; None while nothing is waiting."""
        if self._arming is not None:
            return self._arming.next_expiry_ns()
        return self._open[self._next].at_ns + self._rules.timeout_ns if self._open else None

    def _arm(self, arming: ByTime, frames: Sequence[Frame]) -> list[ViewSet]:
        """Match by time; the first complete set whose frames agree locks the offsets."""
        sets: list[ViewSet] = []
        for number, frame in enumerate(frames, 1):
            self._counters[frame.view].position(frame)
            self._note_gap(frame)
            found = arming.add(frame)
            doubt = self._doubt(found[-1].frames) if found and not found[-1].missing else ""
            sets += self._strict(found, doubt)
            if found and not found[-1].missing and not found[-1].fault and not doubt:
                self._lock(found[-1].frames)
                for waiting in [*arming.drain(), *frames[number:]]:
                    sets += self.add(waiting)
                break
        return sets

    def _strict(self, view_sets: list[ViewSet], doubt: str = "") -> list[ViewSet]:
        """Near enough to lock counters is not near enough to be scored.

        Args:
            doubt: why the last one must not be used.
        """
        strict = [
            self._rules.view_set(
                Trigger(
                    trigger_id=found.trigger_id,
                    part_id=None,
                    at_ns=self._triggered_ns(found.frames, found.triggered_ns),
                ),
                found.frames,
            )
            for found in view_sets
        ]
        if doubt:
            fault = "; ".join(filter(None, [strict[-1].fault, doubt]))
            code = strict[-1].fault_code or "mixed_parts"
            strict[-1] = replace(strict[-1], fault=fault, fault_code=code)
        return strict

    def _note_gap(self, frame: Frame) -> None:
        """Remember how soon each camera's frames follow one another, by its own clock where it has one."""
        stamp_ns = frame.captured_ns if frame.device_ns is None else frame.device_ns
        gap_ns = abs(stamp_ns - self._stamps.get(frame.view, -_STEADY_NS))
        self._stamps[frame.view] = stamp_ns
        if gap_ns:  # else the camera has sent it twice
            self._gap_ns_least = min(gap_ns, self._gap_ns_least)

    def _doubt(self, frames: Mapping[str, Frame]) -> str:
        """Return the reason why frames near in time may be of two triggers; empty where they are of one."""
        unsure = [f.unsure_ns for f in frames.values() if f.unsure_ns is not None]
        untold = [view for view, f in frames.items() if f.unsure_ns is None and f.device_ns is not None]
        pull_ns = sum(sorted(unsure)[-2:])
        if untold and self._rules.pull_ns is None:
            return (
                f"the clock of camera '{untold[0]}' is not compared with this computer's: give "
                "sync.transfer_ms, how long its quickest image takes at most, or use a camera with a "
                "time-stamp latch"
            )
        if untold:
            pull_ns += self._loose.max_skew_ns
        apart_ns = self._rules.max_skew_ns + pull_ns
        stamps = [f.captured_ns for f in frames.values()]
        if max(stamps) - min(stamps) > apart_ns:
            return f"by their cameras' clocks, frames are {(max(stamps) - min(stamps)) / 1e6:.0f} ms apart"
        if self._gap_ns_least <= pull_ns:
            return (
                f"exposures are known within {pull_ns / 1e6:.0f} ms, and triggers are "
                f"{self._gap_ns_least / 1e6:.0f} ms apart: frames of two parts cannot be told apart"
            )
        return ""

    def _lock(self, frames: Mapping[str, Frame]) -> None:
        self._offsets = {view: self._counters[view].position(f) - self._next for view, f in frames.items()}
        self._arming = None
        self._note_past(frames)
        self._next += 1

    def _rearm(self, frame: Frame, why: str) -> list[ViewSet]:
        self.mismatches += 1
        self.mismatch = why
        pending = [f for waiting in self._open.values() for f in waiting.frames.values()]
        self._open.clear()
        self._past.clear()
        self._offsets, self._reference = {}, {}
        self._stamps, self._gap_ns_least = {}, _STEADY_NS
        self._arming = ByTime(self._loose)
        sets = self._arm(self._arming, sorted([*pending, frame], key=lambda f: f.captured_ns))
        return sets + [s for view in self._ended for s in self.end(view)]

    def _contradiction(self, frame: Frame, index: int) -> str:
        """Return the contradiction between counter and time of a frame; empty where they agree."""
        name = f"view '{frame.view}'"
        if index >= self._next + _AHEAD:
            return f"{name}: its counter jumped by {index - self._next} triggers"
        if index < self._next - _PAST:
            return f"{name}: its counter went back by {self._next - index} triggers"
        same = self._frames_of(index)
        gap_ns = max((self._gap_ns(frame, other) for other in same), default=0)
        if not all(self._together(frame, other) for other in same):
            return f"{name}: a frame is {gap_ns / 1e6:.1f} ms from the others of its trigger"
        for neighbour in (index - 1, index + 1):
            others = self._frames_of(neighbour)
            taken = any(other.view == frame.view for other in others)
            if not same and not taken and any(self._together(frame, other) for other in others):
                return f"{name}: a frame is of the same moment as those of another trigger"
        return ""

    def _frames_of(self, index: int) -> list[Frame]:
        if index in self._open:
            return list(self._open[index].frames.values())
        return next((frames for number, frames in self._past if number == index), [])

    def _together(self, one: Frame, other: Frame) -> bool:
        by_stamp_ns, by_clock_ns = abs(one.captured_ns - other.captured_ns), self._by_clocks_ns(one, other)
        limit_ns = self._rules.max_skew_ns
        if by_clock_ns is None:
            return by_stamp_ns <= limit_ns
        # The moment that the clocks are compared from has a skew of its own.
        apart = by_stamp_ns > self._loose.max_skew_ns or by_clock_ns > 2 * limit_ns
        return not apart and min(by_stamp_ns, by_clock_ns) <= limit_ns

    def _gap_ns(self, one: Frame, other: Frame) -> int:
        """Return the time between two exposures, the shorter one by stamps and by clocks."""
        by_stamp_ns, by_clock_ns = abs(one.captured_ns - other.captured_ns), self._by_clocks_ns(one, other)
        return by_stamp_ns if by_clock_ns is None else min(by_stamp_ns, by_clock_ns)

    def _by_clocks_ns(self, one: Frame, other: Frame) -> int | None:
        """Return the time between two exposures by the cameras' own clocks; None where it is not known."""
        first, second = self._since_reference(one), self._since_reference(other)
        if first is None or second is None or max(abs(first), abs(second)) > _STEADY_NS:
            return None
        return abs(first - second)

    def _since_reference(self, frame: Frame) -> int | None:
        reference = self._reference.get(frame.view)
        if reference is None or reference.device_ns is None or frame.device_ns is None:
            return None
        return frame.device_ns - reference.device_ns

    def _open_at(self, index: int, frame: Frame) -> _Open:
        """Return the set of a trigger; open the sets of earlier triggers that no counter showed, too."""
        for missed in range(self._next + len(self._open), index + 1):
            self._open[missed] = _Open(at_ns=frame.captured_ns)
        waiting = self._open[index]
        waiting.at_ns = min(waiting.at_ns, frame.captured_ns)
        return waiting

    def _settled(self) -> list[ViewSet]:
        sets = []
        while self._open and self._is_complete(self._open[self._next]):
            sets.append(self._close_first())
        return sets

    def _is_complete(self, waiting: _Open) -> bool:
        return all(view in waiting.frames for view in self._rules.needed(None, waiting.at_ns))

    def _close_first(self) -> ViewSet:
        waiting = self._open.pop(self._next)
        frames = list(waiting.frames.values())
        gaps = [self._gap_ns(one, other) for one in frames for other in frames]
        trigger = self._rules.new_trigger(self._triggered_ns(waiting.frames, waiting.at_ns))
        view_set = self._rules.view_set(trigger, waiting.frames, skew_ns=max(gaps, default=None))
        self._note_past(waiting.frames)
        self._next += 1
        return view_set

    def _triggered_ns(self, frames: Mapping[str, Frame], stamped_ns: int) -> int:
        """Return the earliest moment of the trigger: deadlines count from it, not from arrivals."""
        rules = self._rules
        at = moment(frames.values(), rules.transfer_ns, rules.max_skew_ns)
        if at is None or not at.known:
            return stamped_ns
        return min(stamped_ns, round(at.earliest_ns) + rules.max_skew_ns)

    def _note_past(self, frames: Mapping[str, Frame]) -> None:
        # Without their images: these are in shared memory, of which a camera has little.
        seen = {view: replace(frame, image=_NO_IMAGE) for view, frame in frames.items()}
        self._past.append((self._next, list(seen.values())))
        if len(seen) == len(self._rules.views):
            self._reference = seen
