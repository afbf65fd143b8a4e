"""Matching of frames with the triggers that caused them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edgeflow.cameras.camera import Frame
from edgeflow.capture.matching.exposure import Interval, exposed
from edgeflow.capture.matching.matcher import MatchingRules
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet

__all__ = ["ByTrigger"]


@dataclass(kw_only=True)
class _Open:
    """A trigger whose frames are still coming.

    Attributes:
        deadline_ns: up to here the set waits.
        last_ns: up to here a frame may be stamped.
        until_ns: up to here a frame may have been exposed: the next trigger is of the next part.
        needed: views that the set waits for.
        lost: views known not to deliver.
        refused: why no frame belongs to it at all.
    """

    trigger: Trigger
    deadline_ns: int
    last_ns: int
    until_ns: int
    needed: tuple[str, ...]
    refused: str = ""
    frames: dict[str, Frame] = field(default_factory=dict)
    lost: set[str] = field(default_factory=set)

    def accepts(self, frame: Frame, at: Interval) -> bool:
        if self.refused or frame.view in self.frames or frame.view in self.lost:
            return False
        stamp_ns = frame.captured_ns
        if frame.trigger_id is not None:
            own = frame.trigger_id == self.trigger.trigger_id
            # What is exposed after the next trigger shows the next part, whatever asked for it.
            in_time = frame.device_ns is None or stamp_ns <= self.until_ns
            return own and in_time and self.trigger.at_ns <= stamp_ns <= self.last_ns
        sure = self.trigger.at_ns <= at.earliest_ns and at.latest_ns <= self.until_ns
        return sure and stamp_ns <= self.last_ns


class ByTrigger:
    """Matches frames with the trigger that caused them."""

    def __init__(self, rules: MatchingRules) -> None:
        self._rules = rules
        self._open: deque[_Open] = deque()
        self._early: dict[str, Frame] = {}  # one per view, in case it overtook the news of its trigger
        self._ended: set[str] = set()

    def trigger(self, trigger: Trigger) -> list[ViewSet]:
        """Take a trigger that was given."""
        waiting = self._waiting(trigger)
        for earlier in self._open:  # what a free-running camera sees from now on is the next part
            earlier.until_ns = min(earlier.until_ns, trigger.moment_ns - 1)
        self._open.append(waiting)
        self._early = {view: frame for view, frame in self._early.items() if not self._take(frame)}
        return self._settled()

    def refuse(self, trigger: Trigger, fault: str) -> list[ViewSet]:
        """Make the set of a refused trigger, without frames."""
        waiting = self._waiting(trigger)
        waiting.refused = fault
        for earlier in self._open:  # the refused part is there, too, where it is known when that was
            if trigger.given_ns is not None and earlier.trigger.moment_ns < trigger.moment_ns:
                earlier.until_ns = min(earlier.until_ns, trigger.moment_ns - 1)
        self._open.append(waiting)
        return self._settled()

    def add(self, frame: Frame) -> list[ViewSet]:
        """Take a frame; return the sets that it settles."""
        if not self._take(frame):
            self._early[frame.view] = frame
        return self._settled()

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:
        """Take the news that a view will not deliver for a trigger."""
        for waiting in self._open:
            if waiting.trigger.trigger_id == trigger_id:
                waiting.lost.add(view)
        return self._settled()

    def end(self, view: str) -> list[ViewSet]:
        """Take the end of a view's recording."""
        self._ended.add(view)
        return self._settled()

    def expire(self, now_ns: int) -> list[ViewSet]:
        """Return the sets whose time is over."""
        sets = []
        while self._open and self._open[0].deadline_ns <= now_ns:
            sets.append(self._close_first())
            sets += self._settled()
        return sets

    def next_expiry_ns(self) -> int | None:
        """Return the time when ``expire`` is due; None while nothing is waiting."""
        return self._open[0].deadline_ns if self._open else None

    def _waiting(self, trigger: Trigger) -> _Open:
        at_ns, rules = trigger.moment_ns, self._rules
        return _Open(
            trigger=trigger,
            deadline_ns=at_ns + rules.timeout_ns,
            last_ns=at_ns + rules.window_ns,
            until_ns=at_ns + rules.window_ns,
            needed=rules.needed(trigger.product, at_ns),
        )

    def _take(self, frame: Frame) -> bool:
        at = self._exposed(frame)
        taker = next((waiting for waiting in self._open if waiting.accepts(frame, at)), None)
        if taker is not None:
            taker.frames[frame.view] = frame
        return taker is not None

    def _exposed(self, frame: Frame) -> Interval:
        """Return the exposure of a frame; of an unknown clock, it may be up to the timeout earlier."""
        rules = self._rules
        if frame.device_ns is None and frame.unsure_ns is None:
            at_ns = frame.captured_ns - rules.delay_ns
            return Interval(earliest_ns=at_ns, latest_ns=at_ns)
        transfer_ns = rules.transfer_ns
        if transfer_ns is None:
            transfer_ns = rules.delay_ns or rules.timeout_ns
        return exposed(frame, transfer_ns)

    def _settled(self) -> list[ViewSet]:
        """The first triggers as far as nothing more is to come for them."""
        sets = []
        over = self._ended.issuperset(self._rules.views)
        while self._open and all(self._is_settled(self._open[0], view) for view in self._open[0].needed):
            first = self._open[0]
            if first.frames or first.lost or first.refused or not over:
                sets.append(self._close_first())
            else:  # given after the end of every recording
                self._open.popleft()
        return sets

    def _is_settled(self, waiting: _Open, view: str) -> bool:
        return bool(waiting.refused) or view in waiting.frames or view in waiting.lost or view in self._ended

    def _close_first(self) -> ViewSet:
        first = self._open.popleft()
        if first.refused:
            return self._rules.refused(first.trigger, first.refused)
        return self._rules.view_set(first.trigger, first.frames)
