"""Frames to view sets: which V frames are one part, decided purely from stamps and ids."""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from edgeflow.cameras.base import Frame
from edgeflow.triggers import Trigger, trigger_name

__all__ = ["SyncMode", "Synchronizer", "ViewSet"]

SyncMode = Literal["triggered", "free"]

_RING = 4  # unmatched frames kept per view of free-running cameras


@dataclass(frozen=True, kw_only=True)
class ViewSet:
    """The frames of one part, complete or expired.

    Attributes:
        frames: view → frame, in the order of the bundle's views; missing views are absent, and
            after an overrun all are, although none was missing.
        missing: views without a usable frame, in order.
        skew_ms: spread of the capture stamps; None with fewer than one frame.
        fault: why the set must not be scored although frames came (skew, frames of different
            parts, overrun); empty where nothing is wrong.
    """

    trigger_id: str
    part_id: str
    triggered_ns: int
    frames: Mapping[str, Frame]
    missing: tuple[str, ...]
    skew_ms: float | None
    fault: str = ""


class Synchronizer:
    """Collects frames into view sets; the clock is an argument, nothing waits.

    ``triggered``: a frame belongs to the trigger whose id it carries, else to the latest trigger
    before it; in both cases it must be captured within ``timeout_ms`` after that trigger. Sets come
    out in the order of the triggers, complete or at the timeout.
    ``free``: frames of all views within ``max_skew_ms`` of each other are a set; what finds no
    partners within ``timeout_ms`` comes out as a set with missing views.

    In both modes a frame is used at most once, and one older than ``timeout_ms`` never.
    ``now_ns`` must not go backwards.
    """

    def __init__(
        self, views: Sequence[str], *, max_skew_ms: float, timeout_ms: float, mode: SyncMode, session: str
    ) -> None:
        self._rules = _Rules(
            views=tuple(views),
            max_skew_ns=round(max_skew_ms * 1e6),
            timeout_ns=round(timeout_ms * 1e6),
            session=session,
        )
        self._matcher: _Matcher = _ByTrigger(self._rules) if mode == "triggered" else _ByTime(self._rules)
        self._seen: dict[tuple[str, int, int], None] = {}

    def trigger(self, trigger: Trigger, now_ns: int) -> list[ViewSet]:
        """A trigger was given; without effect in free mode."""
        self._forget(now_ns)
        return self._matcher.trigger(trigger)

    def add(self, frame: Frame, now_ns: int) -> list[ViewSet]:
        """A frame came; returns the sets that it settles."""
        self._forget(now_ns)
        identity = frame.view, frame.frame_id, frame.captured_ns
        stale = frame.captured_ns < now_ns - self._rules.timeout_ns
        if stale or identity in self._seen or frame.view not in self._rules.views:
            return []
        self._seen[identity] = None
        return self._matcher.add(frame)

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:
        """A view will not deliver for this trigger; nobody needs to wait for it."""
        return self._matcher.fail(view, trigger_id)

    def end(self, view: str) -> list[ViewSet]:
        """A view's recording is over; triggers that no view has a frame for make no set."""
        return self._matcher.end(view)

    def expire(self, now_ns: int) -> list[ViewSet]:
        """The sets whose time is over, with their missing views named."""
        return self._matcher.expire(now_ns)

    def next_expiry_ns(self) -> int | None:
        """When to call ``expire`` at the latest; None while nothing is waiting."""
        return self._matcher.next_expiry_ns()

    def _forget(self, now_ns: int) -> None:
        """Frames too old to be accepted again need not be remembered."""
        oldest_ns = now_ns - self._rules.timeout_ns
        while self._seen and (first := next(iter(self._seen)))[2] < oldest_ns:
            del self._seen[first]


@dataclass(frozen=True, kw_only=True)
class _Rules:
    """What both ways of matching share."""

    views: tuple[str, ...]
    max_skew_ns: int
    timeout_ns: int
    session: str

    def view_set(self, trigger: Trigger, frames: Mapping[str, Frame]) -> ViewSet:
        """Frames as one part, with all that is wrong with them."""
        stamps = [frame.captured_ns for frame in frames.values()]
        skew_ns = max(stamps) - min(stamps) if stamps else None
        recorded = {view: f.part_id for view in self.views if (f := frames.get(view)) and f.part_id}
        agreed = next(iter(recorded.values())) if len(set(recorded.values())) == 1 else None
        faults = []
        if len(set(recorded.values())) > 1:
            faults.append(f"frames of different parts: {', '.join(f'{v} {p}' for v, p in recorded.items())}")
        if skew_ns is not None and skew_ns > self.max_skew_ns:
            faults.append(f"skew of {skew_ns / 1e6:.1f} ms is over max_skew_ms {self.max_skew_ns / 1e6:g}")
        return ViewSet(
            trigger_id=trigger.trigger_id,
            part_id=trigger.part_id or agreed or trigger.trigger_id,
            triggered_ns=trigger.at_ns,
            frames={view: frames[view] for view in self.views if view in frames},
            missing=tuple(view for view in self.views if view not in frames),
            skew_ms=None if skew_ns is None else skew_ns / 1e6,
            fault="; ".join(faults),
        )


class _Matcher(Protocol):
    """One way to find out which frames are one part."""

    def trigger(self, trigger: Trigger) -> list[ViewSet]: ...
    def add(self, frame: Frame) -> list[ViewSet]: ...
    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]: ...
    def end(self, view: str) -> list[ViewSet]: ...
    def expire(self, now_ns: int) -> list[ViewSet]: ...
    def next_expiry_ns(self) -> int | None: ...


@dataclass(kw_only=True)
class _Open:
    """A trigger whose frames are still coming.

    Attributes:
        until_ns: up to here a frame that knows no trigger belongs to this one.
        lost: views known not to deliver.
    """

    trigger: Trigger
    deadline_ns: int
    until_ns: int
    frames: dict[str, Frame] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def accepts(self, frame: Frame) -> bool:
        if frame.view in self.frames or frame.view in self.lost:
            return False
        if frame.trigger_id is None:
            return self.trigger.at_ns <= frame.captured_ns <= self.until_ns
        return (
            frame.trigger_id == self.trigger.trigger_id
            and self.trigger.at_ns <= frame.captured_ns <= self.deadline_ns
        )


class _ByTrigger:
    """Frames to the trigger that caused them."""

    def __init__(self, rules: _Rules) -> None:
        self._rules = rules
        self._open: deque[_Open] = deque()
        self._early: dict[str, Frame] = {}  # one per view, in case it overtook the news of its trigger
        self._ended: set[str] = set()

    def trigger(self, trigger: Trigger) -> list[ViewSet]:
        if self._open:  # what a free-running camera sees from now on is the next part
            self._open[-1].until_ns = min(self._open[-1].until_ns, trigger.at_ns - 1)
        deadline_ns = trigger.at_ns + self._rules.timeout_ns
        self._open.append(_Open(trigger=trigger, deadline_ns=deadline_ns, until_ns=deadline_ns))
        self._early = {view: frame for view, frame in self._early.items() if not self._take(frame)}
        return self._settled()

    def add(self, frame: Frame) -> list[ViewSet]:
        if not self._take(frame):
            self._early[frame.view] = frame
        return self._settled()

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:
        for waiting in self._open:
            if waiting.trigger.trigger_id == trigger_id:
                waiting.lost.add(view)
        return self._settled()

    def end(self, view: str) -> list[ViewSet]:
        self._ended.add(view)
        return self._settled()

    def expire(self, now_ns: int) -> list[ViewSet]:
        sets = []
        while self._open and self._open[0].deadline_ns <= now_ns:
            sets.append(self._close_first())
            sets += self._settled()
        return sets

    def next_expiry_ns(self) -> int | None:
        return self._open[0].deadline_ns if self._open else None

    def _take(self, frame: Frame) -> bool:
        taker = next((waiting for waiting in self._open if waiting.accepts(frame)), None)
        if taker is not None:
            taker.frames[frame.view] = frame
        return taker is not None

    def _settled(self) -> list[ViewSet]:
        """The first triggers as far as nothing more is to come for them."""
        sets = []
        while self._open and all(self._is_settled(self._open[0], view) for view in self._rules.views):
            first = self._open[0]
            if first.frames or first.lost:
                sets.append(self._close_first())
            else:  # given after the end of every recording
                self._open.popleft()
        return sets

    def _is_settled(self, waiting: _Open, view: str) -> bool:
        return view in waiting.frames or view in waiting.lost or view in self._ended

    def _close_first(self) -> ViewSet:
        first = self._open.popleft()
        return self._rules.view_set(first.trigger, first.frames)


class _ByTime:
    """Frames of free-running cameras to sets of least spread."""

    def __init__(self, rules: _Rules) -> None:
        self._rules = rules
        self._waiting: list[Frame] = []  # in the order of capture
        self._ended: set[str] = set()
        self._count = 0

    def trigger(self, trigger: Trigger) -> list[ViewSet]:  # noqa: ARG002 - cameras run by themselves
        return []

    def add(self, frame: Frame) -> list[ViewSet]:
        bisect.insort(self._waiting, frame, key=lambda f: f.captured_ns)
        best = self._best()
        if best:
            self._remove(best)
            # Each view's frames come in order: what is older than the set finds no partners any more.
            earliest_ns = min(f.captured_ns for f in best.values())
            return [*self._give_up(earliest_ns - 1, group_until_ns=earliest_ns - 1), self._as_set(best)]
        own = [f for f in self._waiting if f.view == frame.view]
        return self._give_up(own[0].captured_ns) if len(own) > _RING else []

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:  # noqa: ARG002 - no trigger waits
        return []

    def end(self, view: str) -> list[ViewSet]:
        self._ended.add(view)
        over = self._waiting and self._ended.issuperset(self._rules.views)
        return self._give_up(self._waiting[-1].captured_ns) if over else []

    def expire(self, now_ns: int) -> list[ViewSet]:
        return self._give_up(now_ns - self._rules.timeout_ns)

    def next_expiry_ns(self) -> int | None:
        return self._waiting[0].captured_ns + self._rules.timeout_ns if self._waiting else None

    def _best(self) -> dict[str, Frame]:
        """One frame per view within tolerance: least spread, of equals the newest; or empty."""
        best: dict[str, Frame] = {}
        least_ns = self._rules.max_skew_ns
        for start, first in enumerate(self._waiting):
            chosen: dict[str, Frame] = {}
            for frame in self._waiting[start:]:
                spread_ns = frame.captured_ns - first.captured_ns
                if spread_ns > least_ns:
                    break
                chosen.setdefault(frame.view, frame)
                if len(chosen) == len(self._rules.views):
                    best, least_ns = chosen, spread_ns
                    break
        return best

    def _give_up(self, until_ns: int, group_until_ns: int | None = None) -> list[ViewSet]:
        """All frames up to a stamp, in groups: from the oldest frame until a view comes again."""
        sets = []
        while self._waiting and self._waiting[0].captured_ns <= until_ns:
            group: dict[str, Frame] = {}
            for frame in self._waiting:
                late = group_until_ns is not None and frame.captured_ns > group_until_ns
                if late or frame.view in group:
                    break
                group[frame.view] = frame
            self._remove(group)
            sets.append(self._as_set(group))
        return sets

    def _remove(self, frames: Mapping[str, Frame]) -> None:
        gone = {id(frame) for frame in frames.values()}
        self._waiting = [frame for frame in self._waiting if id(frame) not in gone]

    def _as_set(self, frames: Mapping[str, Frame]) -> ViewSet:
        self._count += 1
        trigger = Trigger(
            trigger_id=trigger_name(self._rules.session, self._count),
            part_id=None,
            at_ns=min(frame.captured_ns for frame in frames.values()),
        )
        return self._rules.view_set(trigger, frames)
