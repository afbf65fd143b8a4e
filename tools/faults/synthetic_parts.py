"""Parts through the real synchroniser and decision: most whole, some with a missing or skewed view."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgeflow.cameras.camera import Frame
from edgeflow.capture.synchronizer import Synchronizer
from edgeflow.capture.triggers import Trigger
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.capture import SyncConfig
from edgeflow.config.scoring import DecisionConfig
from edgeflow.contracts.manifest import Scale, Thresholds, subset_key
from edgeflow.decision.decision import Policy, Verdict, decide
from edgeflow.scoring.scorer import Scores

__all__ = ["VIEWS", "Parts", "policy", "scores"]

VIEWS = tuple(f"C{n}" for n in range(1, 6))
_IMAGE = np.zeros((2, 2, 3), np.uint8)
_MAPS = np.zeros((5, 2, 2), np.float32)


class Parts:
    """Triggers and frames of one session; every trigger is written down before anything is done for it."""

    def __init__(self, session: str, triggers: Path) -> None:
        self._session = session
        self._chance = random.Random(session)  # noqa: S311 - faults, not secrets
        self._file = os.open(triggers, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._sync = Synchronizer(VIEWS, max_skew_ms=5, timeout_ms=100, mode="triggered", session=session)
        self._policy = policy(SyncConfig(max_skew_ms=5))

    def step(self, seq: int) -> Iterator[tuple[ViewSet, Verdict]]:
        """One trigger and its frames; whatever is complete or expired by now."""
        trigger = Trigger(trigger_id=f"{self._session}-t{seq:06d}", part_id=None, at_ns=monotonic_ns())
        os.write(self._file, f"{trigger.trigger_id}\n".encode())
        sets = self._sync.trigger(trigger, monotonic_ns())
        for view in VIEWS:
            if self._chance.random() < 0.002:
                continue  # a frame that never comes
            skew_ns = 9_000_000 if self._chance.random() < 0.002 else 0
            frame = Frame(
                view=view, image=_IMAGE, captured_ns=trigger.at_ns + 1000 + skew_ns, frame_id=seq,
                trigger_id=trigger.trigger_id,
            )  # fmt: skip
            sets += self._sync.add(frame, monotonic_ns())
        return self._decided([*sets, *self._sync.expire(monotonic_ns())])

    def rest(self) -> Iterator[tuple[ViewSet, Verdict]]:
        """Parts that still wait for frames."""
        return self._decided(self._sync.expire(monotonic_ns() + 1_000_000_000))

    def _decided(self, sets: list[ViewSet]) -> Iterator[tuple[ViewSet, Verdict]]:
        for view_set in sets:
            whole = not (view_set.missing or view_set.fault)
            yield (
                view_set,
                decide(view_set, self._scores() if whole else None, "", self._policy, monotonic_ns()),
            )

    def _scores(self) -> Scores:
        return scores(VIEWS, self._chance.gauss(0.2, 0.3))


def policy(sync: SyncConfig, deadline_ms: float = 250) -> Policy:
    """Thresholds of 1 for everything, also for parts with one view missing."""
    scale = Scale(centre=0.0, threshold=1.0)
    subsets = {subset_key(set(VIEWS) - {view}): scale for view in VIEWS}
    thresholds = Thresholds(
        part=scale,
        views=dict.fromkeys(VIEWS, scale),
        subsets=subsets,
        false_reject_rate=0.01,
        normal_parts=50,
    )
    return Policy(thresholds=thresholds, sync=sync, decision=DecisionConfig(deadline_ms=deadline_ms))


def scores(views: Sequence[str], part: float) -> Scores:
    """As if each of these views, and so the part, had this score."""
    return Scores(
        inputs=np.zeros((5, 2, 2, 3), np.uint8), maps=_MAPS, raw_maps=_MAPS, masks=None,
        views=dict.fromkeys(views, part), part=part, empty=(), masked=(), highest=part,
    )  # fmt: skip
