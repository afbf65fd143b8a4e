"""Thresholds from the scores of normal parts at a target false-reject rate."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.manifest import Scale, Thresholds
from edgeflow.errors import DataError

__all__ = ["calibrate", "threshold_of"]


def calibrate(
    parts: npt.NDArray[np.float32], views: npt.NDArray[np.float32], ids: tuple[str, ...], rate: float
) -> Thresholds:
    """Thresholds for parts and views.

    Args:
        parts: (n,) raw part scores of normal parts that the flow was not trained on.
        views: (n, V) their raw view scores.
        ids: the V view names.
        rate: share of normal parts that may be rejected.

    Raises:
        DataError: too few parts, non-finite scores, or scores that are all equal.
    """
    if not (np.isfinite(parts).all() and np.isfinite(views).all()):
        raise DataError("a normal part has a score that is not finite; check the images and the training")
    supported = 1 / (len(parts) + 1)
    note = None
    if rate < supported:
        note = (
            f"{len(parts)} normal parts support no rate below {supported:.3g}: the threshold is the highest "
            f"normal score, and about {supported:.1%} of normal parts may be rejected; use more parts"
        )
    return Thresholds(
        part=_scale("part", parts, rate),
        views={view: _scale(view, views[:, v], rate) for v, view in enumerate(ids)},
        false_reject_rate=rate,
        normal_parts=len(parts),
        note=note,
    )


def threshold_of(scores: npt.NDArray[np.float32], rate: float) -> float:
    """The score that a new normal part exceeds with a probability of at most ``rate``.

    The rank ceil((n + 1)(1 - rate)) holds that promise for any distribution (split conformal
    prediction); the highest score where the sample is too small for it.
    """
    ordered = np.sort(scores.astype(np.float64))
    rank = min(math.ceil((len(ordered) + 1) * (1 - rate)), len(ordered))
    return float(ordered[rank - 1])


def _scale(name: str, scores: npt.NDArray[np.float32], rate: float) -> Scale:
    centre, threshold = float(np.median(scores)), threshold_of(scores, rate)
    if not threshold > centre:
        raise DataError(
            f"{name}: all {len(scores)} normal scores are equal ({centre:g}); a threshold needs more, "
            "and different, normal parts"
        )
    return Scale(centre=centre, threshold=threshold)
