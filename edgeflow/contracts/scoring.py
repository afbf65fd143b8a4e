"""Anomaly maps to view and part scores, and raw scores to scaled ones: the same arithmetic everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.manifest import Scale, Scoring, Thresholds, subset_key

__all__ = [
    "CLEAR",
    "FP32_TOLERANCE",
    "FloatArray",
    "Masks",
    "PixelStatistics",
    "masked",
    "near_threshold",
    "part_score",
    "scaled",
    "standardise",
    "subset_scale",
    "view_bounds",
    "view_scores",
]

FloatArray = npt.NDArray[np.float32]
FP32_TOLERANCE = 1e-4
"""Relative error that a float graph may have, unless a recipe says otherwise."""
CLEAR = 1e-4
"""A bound nearer to the threshold than this, on the scale where the threshold is 1.0, decides nothing."""

Masks = npt.NDArray[np.uint8]
"""Foreground masks at map size, uint8 (..., V, h, w) of 0 (background) and 1."""


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """Mean and deviation of each pixel's negative log-likelihood over normal parts, each (V, h, w)."""

    mean: FloatArray
    std: FloatArray


def standardise(maps: FloatArray, statistics: PixelStatistics | None) -> FloatArray:
    """Anomaly maps (..., V, h, w) in deviations from normal parts; unchanged without statistics."""
    if statistics is None:
        return maps
    return np.asarray((maps - statistics.mean) / statistics.std, np.float32)


def masked(maps: FloatArray, masks: Masks | None) -> FloatArray:
    """Anomaly maps (..., V, h, w) whose background counts as 0, as published; unchanged without masks.

    For a mask m of 0 and 1 the published ``½Σ(m·z)² − m·log|det J|`` is ``m·(½Σz² − log|det J|)``, so that
    the mask can be applied after the flow (Multi-Flow, section 3). A pixel that is not finite stays so, as
    it does there: a broken map must not pass as background.
    """
    if masks is None:
        return maps
    return np.asarray(np.where((masks != 0) | ~np.isfinite(maps), maps, np.float32(0)), np.float32)


def view_bounds(maps: FloatArray, scoring: Scoring) -> tuple[FloatArray, FloatArray]:
    """The lowest and highest view scores (..., V) that any foreground masks could give.

    A mask leaves a pixel as it is or makes it 0, and pooling never falls when a pixel rises.
    """
    zero = np.float32(0)
    return view_scores(np.minimum(maps, zero), scoring), view_scores(np.maximum(maps, zero), scoring)


def view_scores(maps: FloatArray, scoring: Scoring) -> FloatArray:
    """Pool anomaly maps (..., V, h, w) into view scores (..., V).

    The published score is the maximum (Multi-Flow); ``top_k`` is the mean of the k highest pixels, or of a
    share of the map, at least one pixel.
    """
    flat = maps.reshape(*maps.shape[:-2], -1)
    if scoring.view == "max":
        return np.asarray(flat.max(-1))
    if scoring.view == "mean":
        return np.asarray(flat.mean(-1, dtype=np.float64), np.float32)
    k = _pixels(scoring, flat.shape[-1])
    # Sorted, so that sums are rounded alike and a map that is nowhere lower never scores lower.
    highest = np.sort(np.partition(flat, flat.shape[-1] - k, axis=-1)[..., -k:], axis=-1)
    return np.asarray(highest.mean(-1, dtype=np.float64), np.float32)


def _pixels(scoring: Scoring, count: int) -> int:
    if scoring.top_share is not None:
        return max(1, round(scoring.top_share * count))
    return min(scoring.top_k or 1, count)


def part_score(views: FloatArray, scoring: Scoring) -> FloatArray:
    """View scores (..., V) to part scores (...): their mean, as published, or their maximum."""
    if scoring.part == "max":
        return np.asarray(views.max(-1))
    return np.asarray(views.mean(-1, dtype=np.float64), np.float32)


def near_threshold(scale: Scale, tolerance: float) -> float:
    """Distance to the threshold, in raw score, within which a float graph's rounding may change the verdict.

    Args:
        tolerance: relative error that the graph may have.
    """
    return tolerance * max(abs(scale.centre), abs(scale.threshold))


def scaled(raw: float, scale: Scale) -> float:
    """Raw score to the scale on which 1.0 is the threshold; not clamped, negative scores allowed."""
    return (raw - scale.centre) / (scale.threshold - scale.centre)


def subset_scale(thresholds: Thresholds, present_views: Iterable[str]) -> Scale | None:
    """The scale of a part score that comes from some of the views alone.

    Returns:
        The full part's scale where no view is absent; None where the bundle was not calibrated for this set.
    """
    present = set(present_views)
    return (
        thresholds.part if present == set(thresholds.views) else thresholds.subsets.get(subset_key(present))
    )
