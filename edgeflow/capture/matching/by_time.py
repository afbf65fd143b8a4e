"""Matching of free-running cameras' frames by time."""

from __future__ import annotations

import bisect
from collections.abc import Mapping

from edgeflow.cameras.camera import Frame
from edgeflow.capture.matching.matcher import MatchingRules
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet

__all__ = ["ByTime"]

_RING = 4  # unmatched frames kept per view


class ByTime:
    """Matches frames of free-running cameras to the sets of least spread."""

    def __init__(self, rules: MatchingRules) -> None:
        self._rules = rules
        self._waiting: list[Frame] = []  # in the order of capture
        self._ended: set[str] = set()

    def trigger(self, trigger: Trigger) -> list[ViewSet]:  # noqa: ARG002 - cameras run by themselves
        """Ignore a trigger: cameras run by themselves."""
        return []

    def refuse(self, trigger: Trigger, fault: str) -> list[ViewSet]:
        """Make the set of a refused trigger, without frames."""
        return [self._rules.refused(trigger, fault)]

    def add(self, frame: Frame) -> list[ViewSet]:
        """Take a frame; return the sets that it settles."""
        if frame.view not in self._rules.needed(None, frame.captured_ns):
            return []  # alone it would be a part of its own
        bisect.insort(self._waiting, frame, key=lambda f: f.captured_ns)
        best = self._best()
        if best:
            self._remove(best)
            # Each view's frames come in order: what is older than the set finds no partners any more.
            earliest_ns = min(f.captured_ns for f in best.values())
            return [*self._drop_until(earliest_ns - 1, group_until_ns=earliest_ns - 1), self._as_set(best)]
        own = [f for f in self._waiting if f.view == frame.view]
        return self._drop_until(own[0].captured_ns) if len(own) > _RING else []

    def fail(self, view: str, trigger_id: str | None) -> list[ViewSet]:  # noqa: ARG002 - no trigger waits
        """Ignore a lost frame: no trigger waits for it."""
        return []

    def end(self, view: str) -> list[ViewSet]:
        """Take the end of a view's recording."""
        self._ended.add(view)
        over = self._waiting and self._ended.issuperset(self._rules.views)
        return self._drop_until(self._waiting[-1].captured_ns) if over else []

    def expire(self, now_ns: int) -> list[ViewSet]:
        """Return the sets whose time is over."""
        return self._drop_until(now_ns - self._rules.timeout_ns)

    def next_expiry_ns(self) -> int | None:
        """Return the time when ``expire`` is due; None while nothing is waiting."""
        return self._waiting[0].captured_ns + self._rules.timeout_ns if self._waiting else None

    def drain(self) -> list[Frame]:
        """Take out what waits, in the order of capture."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def _best(self) -> dict[str, Frame]:
        """One frame per view within tolerance: least spread, of equals the newest; or empty."""
        best: dict[str, Frame] = {}
        least_ns = self._rules.max_skew_ns
        for start, first in enumerate(self._waiting):
            chosen: dict[str, Frame] = {}
            needed = set(self._rules.needed(None, first.captured_ns))
            for frame in self._waiting[start:]:
                spread_ns = frame.captured_ns - first.captured_ns
                if spread_ns > least_ns:
                    break
                if frame.view in needed:
                    chosen.setdefault(frame.view, frame)
                if len(chosen) == len(needed):
                    best, least_ns = chosen, spread_ns
                    break
        return best

    def _drop_until(self, until_ns: int, group_until_ns: int | None = None) -> list[ViewSet]:
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
        first_ns = min(frame.captured_ns for frame in frames.values())
        return self._rules.view_set(self._rules.new_trigger(first_ns), frames)
