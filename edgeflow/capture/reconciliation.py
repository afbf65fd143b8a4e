"""Reconciliation of triggers, frames per camera and results; names the first disagreement."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edgeflow.alarms import AlarmHysteresis
from edgeflow.capture.view_set import ViewSet

__all__ = ["Reconciler", "Tally"]

_WELL_AFTER = 20  # parts in a row that agree end a disagreement


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts since the start; all of them agree where nothing was lost.

    Attributes:
        triggers: that the line gave; of cameras that run by themselves, the sets that were found.
        frames: view → frames that were used.
        unasked: view → parts whose product lacks it.
        refused: sets that were made without asking the cameras.
    """

    triggers: int
    view_sets: int
    results: int
    refused: int
    frames: Mapping[str, int]
    unasked: Mapping[str, int] = field(default_factory=dict)

    @property
    def agrees(self) -> bool:
        """True if every trigger has one set, one frame of every camera of its product, and one result."""
        asked = self.view_sets - self.refused
        used = {count + self.unasked.get(view, 0) for view, count in self.frames.items()}
        return self.triggers == self.view_sets == self.results and used <= {asked}


class Reconciler:
    """Counts; pure. ``problem`` stands from the first disagreement until 20 parts in a row agree again.

    Args:
        named: whether triggers are given, so that every set must belong to one.
    """

    def __init__(self, views: Sequence[str], *, named: bool) -> None:
        self._named = named
        self._waiting: deque[str] = deque()
        self._triggers = self._view_sets = self._results = self._refused = 0
        self._frames = dict.fromkeys(views, 0)
        self._unasked = dict.fromkeys(views, 0)
        self._disagreement = AlarmHysteresis(_WELL_AFTER)

    @property
    def problem(self) -> str:
        """The first disagreement; empty while all agrees."""
        return self._disagreement.problem

    def triggered(self, trigger_id: str) -> None:
        """Count a trigger."""
        self._triggers += 1
        self._waiting.append(trigger_id)

    def settled(self, view_set: ViewSet) -> None:
        """Count a view set."""
        self._view_sets += 1
        self._triggers += not self._named
        refused = not view_set.frames and not view_set.missing
        self._refused += refused
        for view in self._frames:
            self._frames[view] += view in view_set.frames
            self._unasked[view] += not refused and view not in (*view_set.frames, *view_set.missing)
        disagreement = self._out_of_turn(view_set.trigger_id) or _without_frames(view_set)
        if disagreement:
            self._disagreement.bad(disagreement)
        else:
            self._disagreement.good()

    def mismatched(self, text: str) -> None:
        """Record a contradiction between counters and time."""
        self._disagreement.bad(f"{text}; check its trigger cable and the camera's trigger settings")

    def decided(self) -> None:
        """Count a result."""
        self._results += 1

    def tally(self) -> Tally:
        """Return the present counts."""
        return Tally(
            triggers=self._triggers,
            view_sets=self._view_sets,
            results=self._results,
            refused=self._refused,
            frames=dict(self._frames),
            unasked=dict(self._unasked),
        )

    def _out_of_turn(self, trigger_id: str) -> str:
        if not self._named:
            return ""
        if trigger_id not in self._waiting:
            return f"frames came for '{trigger_id}', which no trigger announced; check the line's messages"
        skipped = self._waiting.popleft()
        if skipped == trigger_id:
            return ""
        while self._waiting.popleft() != trigger_id:
            pass
        return f"trigger '{skipped}' made no view set"


def _without_frames(view_set: ViewSet) -> str:
    if not view_set.missing:
        return ""
    views = ", ".join(f"'{view}'" for view in view_set.missing)
    return (
        f"trigger '{view_set.trigger_id}' has no frame of view {views}; "
        "check the camera's status, its cable and its trigger"
    )
