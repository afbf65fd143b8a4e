"""Drift of one view as charts draw it: the bounds and the moving mean on the scale of scores; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeflow.monitoring.drift.chart import EWMA_PARTS
from edgeflow.monitoring.drift.part import DriftState
from edgeflow.monitoring.drift.reference import Reference

__all__ = ["DriftTrend", "drift_trend"]

_FIRST = 50


@dataclass(frozen=True, kw_only=True)
class DriftTrend:
    """Bounds and moving mean of a view, as scores.

    Attributes:
        low, high: the reference's middle, moved by the bound.
        level: moving mean at each score.
    """

    low: float
    high: float
    level: tuple[float, ...]


def drift_trend(
    state: DriftState | None, view: str, bundle: str, scores: Sequence[float]
) -> DriftTrend | None:
    """Return the drift of recorded scores; None where they cannot be compared with the reference.

    Args:
        bundle: SHA-256, of the latest of the scores.
        scores: of the view in parts of any verdict, the earliest first; those beyond 1 are left out of the
            mean, as the watch leaves out parts that are NG.
    """
    drift = state.views.get(view) if state is not None and state.bundle == bundle else None
    if state is None or drift is None or drift.reference is None or drift.unmasked:
        return None
    reference = drift.reference
    return DriftTrend(
        low=reference.score_at(-state.bound),
        high=reference.score_at(state.bound),
        level=_moving_mean(reference, scores),
    )


def _moving_mean(reference: Reference, scores: Sequence[float]) -> tuple[float, ...]:
    normal = [reference.normal(score) if score <= 1.0 else None for score in scores]
    known = [value for value in normal if value is not None][:_FIRST]
    level = sum(known) / len(known) if known else 0.0
    levels = []
    for value in normal:
        if value is not None:
            level += (value - level) / EWMA_PARTS
        levels.append(level)
    steps = np.linspace(-2.0, 2.0, 81)
    as_scores = [reference.score_at(step) for step in steps.tolist()]
    return tuple(np.interp(levels, steps, as_scores).tolist())
