"""Thresholds from the scores of normal parts at a target false-reject rate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeflow.calibration.detection_rates import binomial, keep_scores, needed_parts
from edgeflow.calibration.extreme_value_tail import LEAST_SCORES, tail_threshold
from edgeflow.contracts.manifest import Interval, OperatingPoint, Scale, Thresholds, subset_key
from edgeflow.contracts.scoring import FP32_TOLERANCE
from edgeflow.errors import ConfigError, DataError

__all__ = ["LEVEL", "Method", "calibrate", "operating_curve", "threshold_of", "view_subsets"]

FloatArray = npt.NDArray[np.float32]
Ordered = npt.NDArray[np.float64]
Method = Literal["auto", "quantile", "tail"]

LEVEL = 0.95
"""Of the confidence intervals."""
_CURVE_POINTS = 32
_FARTHEST = 0.5
"""A threshold lies at most this far above its score, in units of that score's distance from the median: one
outlier among the normal parts must not carry it away."""
_ABOVE_HIGHEST = 0.01
"""The same unit: how far above the highest normal score a threshold lies at least."""


def calibrate(
    parts: FloatArray,
    views: FloatArray,
    ids: tuple[str, ...],
    rate: float,
    *,
    method: Method = "auto",
    subsets: Mapping[tuple[str, ...], FloatArray] | None = None,
    defective: FloatArray | None = None,
    normal: FloatArray | None = None,
    tolerance: float = FP32_TOLERANCE,
) -> Thresholds:
    """Thresholds for parts, views and part scores without some of the views.

    Args:
        parts: (n,) raw part scores of normal parts that the flow was not trained on.
        views: (n, V) their raw view scores.
        ids: the V view names.
        rate: share of normal parts that may be rejected.
        method: ``quantile`` of the scores; ``tail``, an extreme-value tail fitted to the highest of them;
            ``auto``: the quantile where there are enough parts for the rate, else the tail.
        subsets: present views → (n,) part scores from these alone.
        defective: (m,) raw part scores of defective parts, for the operating curve and the recall.
        normal: (k,) raw part scores of other normal parts, for the false rejects among them.
        tolerance: relative error that the graphs may have; no threshold lies that near to a score.

    Raises:
        DataError: too few parts, non-finite scores, or scores that are all equal.
    """
    others = [scores for scores in (*(subsets or {}).values(), defective, normal) if scores is not None]
    if not all(np.isfinite(scores).all() for scores in (parts, views, *others)):
        raise DataError("a part has a score that is not finite; check the images and the training")
    scale = _scale("part", parts, rate, method, tolerance)
    labelled = defective is not None or normal is not None
    return Thresholds(
        part=scale,
        views={view: _scale(view, views[:, v], rate, method, tolerance) for v, view in enumerate(ids)},
        subsets={
            subset_key(present): _scale(f"part from {', '.join(present)}", scores, rate, method, tolerance)
            for present, scores in (subsets or {}).items()
        },
        false_reject_rate=rate,
        normal_parts=len(parts),
        operating_curve=operating_curve(parts, defective, tolerance) if defective is not None else (),
        labelled=keep_scores(_or_empty(normal), _or_empty(defective)) if labelled else None,
        note=_note(scale, len(parts), rate),
    )


def threshold_of(scores: FloatArray, rate: float, tolerance: float = FP32_TOLERANCE) -> float:
    """A threshold that a new normal part exceeds with a probability of at most ``rate``.

    The score of rank ceil((n + 1)(1 - rate)) holds that promise for any distribution (split conformal
    prediction); the highest score where the sample is too small for it. The threshold lies above that score
    and clear of all others, so that no verdict depends on how a processor rounds.
    """
    ordered = np.sort(scores.astype(np.float64))
    return _clear_of(ordered, _quantile(ordered, rate), tolerance)


def view_subsets(ids: Sequence[str], missing: int) -> list[tuple[str, ...]]:
    """The sets of present views where up to ``missing`` views may be absent, in the order of ``ids``.

    Raises:
        ConfigError: no view would be left.
    """
    if missing >= len(ids):
        raise ConfigError(
            f"thresholds.missing_views: {missing} of {len(ids)} views may be missing; one must be left"
        )
    return [
        present
        for count in range(1, missing + 1)
        for present in itertools.combinations(ids, len(ids) - count)
    ]


def operating_curve(
    normal: FloatArray, defective: FloatArray, tolerance: float = FP32_TOLERANCE
) -> tuple[OperatingPoint, ...]:
    """Rejected shares of normal parts (n,) and of defective ones (m,) over at most 32 thresholds.

    Each lies just above the score of a normal part, from the highest down.
    """
    ordered = np.sort(normal.astype(np.float64))
    ranks = np.linspace(len(ordered) - 1, 0, min(_CURVE_POINTS, len(ordered))).round().astype(int)
    thresholds = {_clear_of(ordered, float(ordered[rank]), tolerance) for rank in ranks}
    return tuple(
        OperatingPoint(
            threshold=threshold,
            false_reject_rate=round(float((normal > threshold).mean()), 6),
            recall=round(float((defective > threshold).mean()), 6),
        )
        for threshold in sorted(thresholds, reverse=True)
    )


def _quantile(ordered: Ordered, rate: float) -> float:
    rank = min(math.ceil((len(ordered) + 1) * (1 - rate)), len(ordered))
    return float(ordered[rank - 1])


def _clear_of(ordered: Ordered, wanted: float, tolerance: float) -> float:
    """The lowest threshold from ``wanted`` on that no device can confuse with a score.

    It stays where no score is within the tolerance. Otherwise it lies midway between the first two
    neighbouring scores from there on that are far enough apart, or above the highest.
    """
    median = float(np.median(ordered))
    nearest = tolerance * max(abs(wanted), abs(median))
    touching = ordered[np.abs(ordered - wanted) <= nearest]
    if not len(touching):
        return wanted
    spread = float(touching[-1]) - median
    farthest = _FARTHEST * spread if spread > 0 else math.inf
    lower = np.unique(ordered[ordered >= touching[-1]])
    gaps = np.append(np.diff(lower), 2 * max(2 * nearest, _ABOVE_HIGHEST * max(spread, 0.0)))
    reachable = lower <= lower[0] + farthest
    lower, gaps = lower[reachable], gaps[reachable]
    wide = np.flatnonzero(gaps > 2 * nearest)
    chosen = wide[0] if len(wide) else np.argmax(gaps)
    return max(wanted, float(lower[chosen] + min(gaps[chosen] / 2, farthest)))


def _scale(name: str, scores: FloatArray, rate: float, method: Method, tolerance: float) -> Scale:
    ordered = np.sort(scores.astype(np.float64))
    centre = float(np.median(scores))
    if not ordered[-1] > centre:
        raise DataError(
            f"{name}: all {len(scores)} normal scores are equal ({centre:g}); a threshold needs more, "
            "and different, normal parts"
        )
    supported = rate >= 1 / (len(ordered) + 1)
    if method == "tail" or (method == "auto" and not supported and len(ordered) >= LEAST_SCORES):
        scale = _tail_scale(name, ordered, centre, rate, tolerance)
        if scale is not None:
            return scale
        if method == "tail":
            raise DataError(
                f"{name}: too many of the highest scores are equal for thresholds.method: tail; use auto"
            )
    if not _quantile(ordered, rate) > centre:
        raise DataError(
            f"{name}: the threshold for a false-reject rate of {rate:g} is the median score ({centre:g}); "
            "lower the rate, or use more, and different, normal parts"
        )
    return Scale(
        centre=centre,
        threshold=threshold_of(scores, rate, tolerance),
        method="quantile" if supported else "highest",
        interval=_quantile_interval(ordered, rate),
    )


def _tail_scale(name: str, ordered: Ordered, centre: float, rate: float, tolerance: float) -> Scale | None:
    if len(ordered) < LEAST_SCORES or rate > 0.1:
        raise DataError(
            f"{name}: thresholds.method: tail needs at least {LEAST_SCORES} normal parts and a "
            f"false-reject rate of at most 0.1; there are {len(ordered)} and {rate:g}; use auto"
        )
    found = tail_threshold(ordered, rate, LEVEL)
    if found is None or not found.threshold > centre:
        return None
    return Scale(
        centre=centre,
        threshold=_clear_of(ordered, found.threshold, tolerance),
        method="tail",
        interval=Interval(low=found.low, high=found.high, level=LEVEL),
    )


def _quantile_interval(ordered: Ordered, rate: float) -> Interval | None:
    """Two of the scores that hold the 1 - rate quantile between them, for any distribution.

    The count of scores below that quantile is binomial. Without an upper end where the sample has none.
    """
    n = len(ordered)
    below = np.cumsum(binomial(n, 1 - rate))
    beside = (1 - LEVEL) / 2
    low = int(np.searchsorted(below, beside, side="right"))  # scores below, in at least 97.5 % of samples
    if low == 0:
        return None
    high = int(np.searchsorted(below, 1 - beside)) + 1
    return Interval(
        low=float(ordered[low - 1]), high=float(ordered[high - 1]) if high <= n else None, level=LEVEL
    )


def _or_empty(scores: FloatArray | None) -> FloatArray:
    return np.empty(0, np.float32) if scores is None else scores


def _note(scale: Scale, count: int, rate: float) -> str | None:
    """Remarks about the sample."""
    supported = 1 / (count + 1)
    if scale.method == "highest":
        return (
            f"{count} normal parts support no rate below {supported:.3g}: the threshold lies just above "
            f"the highest normal score, and about {supported:.1%} of normal parts may be rejected; use "
            f"at least {needed_parts(rate)} parts"
        )
    if scale.method == "tail" and rate < supported:
        return (
            f"{count} normal parts alone support no rate below {supported:.3g}: the threshold continues "
            f"their highest scores by an extreme-value tail, and may be too low or too high; use at least "
            f"{needed_parts(rate)} parts"
        )
    return None
