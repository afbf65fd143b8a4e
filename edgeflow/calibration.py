"""Thresholds from the scores of normal parts at a target false-reject rate."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.manifest import Interval, OperatingPoint, Scale, Thresholds, subset_key
from edgeflow.errors import ConfigError, DataError
from edgeflow.tail import LEAST_SCORES, tail_threshold

__all__ = ["LEVEL", "Method", "calibrate", "operating_curve", "threshold_of", "view_subsets"]

FloatArray = npt.NDArray[np.float32]
Method = Literal["auto", "quantile", "tail"]

LEVEL = 0.95
"""Of the confidence intervals."""
_CURVE_POINTS = 32


def calibrate(
    parts: FloatArray,
    views: FloatArray,
    ids: tuple[str, ...],
    rate: float,
    *,
    method: Method = "auto",
    subsets: Mapping[tuple[str, ...], FloatArray] | None = None,
    defective: FloatArray | None = None,
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
        defective: (m,) raw part scores of defective parts, for the operating curve.

    Raises:
        DataError: too few parts, non-finite scores, or scores that are all equal.
    """
    others = [scores for scores in (*(subsets or {}).values(), defective) if scores is not None]
    if not all(np.isfinite(scores).all() for scores in (parts, views, *others)):
        raise DataError("a part has a score that is not finite; check the images and the training")
    scale = _scale("part", parts, rate, method)
    return Thresholds(
        part=scale,
        views={view: _scale(view, views[:, v], rate, method) for v, view in enumerate(ids)},
        subsets={
            subset_key(present): _scale(f"part from {', '.join(present)}", scores, rate, method)
            for present, scores in (subsets or {}).items()
        },
        false_reject_rate=rate,
        normal_parts=len(parts),
        operating_curve=operating_curve(parts, defective) if defective is not None else (),
        note=_note(scale, len(parts), rate),
    )


def threshold_of(scores: FloatArray, rate: float) -> float:
    """The score that a new normal part exceeds with a probability of at most ``rate``.

    The rank ceil((n + 1)(1 - rate)) holds that promise for any distribution (split conformal
    prediction); the highest score where the sample is too small for it.
    """
    ordered = np.sort(scores.astype(np.float64))
    rank = min(math.ceil((len(ordered) + 1) * (1 - rate)), len(ordered))
    return float(ordered[rank - 1])


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


def operating_curve(normal: FloatArray, defective: FloatArray) -> tuple[OperatingPoint, ...]:
    """What thresholds would reject of normal parts (n,) and of defective ones (m,): at most 32 of them.

    Each is the score of a normal part, from the highest down; so no defective part is rejected for free.
    """
    ordered = np.sort(normal.astype(np.float64))[::-1]
    ranks = np.unique(np.linspace(0, len(ordered) - 1, min(_CURVE_POINTS, len(ordered))).round().astype(int))
    return tuple(
        OperatingPoint(
            threshold=float(ordered[rank]),
            false_reject_rate=round(float((normal > ordered[rank]).mean()), 6),
            recall=round(float((defective > ordered[rank]).mean()), 6),
        )
        for rank in ranks
    )


def _scale(name: str, scores: FloatArray, rate: float, method: Method) -> Scale:
    ordered = np.sort(scores.astype(np.float64))
    centre = float(np.median(scores))
    if not ordered[-1] > centre:
        raise DataError(
            f"{name}: all {len(scores)} normal scores are equal ({centre:g}); a threshold needs more, "
            "and different, normal parts"
        )
    supported = rate >= 1 / (len(ordered) + 1)
    if method == "tail" or (method == "auto" and not supported and len(ordered) >= LEAST_SCORES):
        scale = _tail_scale(name, ordered, centre, rate)
        if scale is not None:
            return scale
        if method == "tail":
            raise DataError(
                f"{name}: too many of the highest scores are equal for thresholds.method: tail; use auto"
            )
    threshold = threshold_of(scores, rate)
    if not threshold > centre:
        raise DataError(
            f"{name}: the threshold for a false-reject rate of {rate:g} is the median score ({centre:g}); "
            "lower the rate, or use more, and different, normal parts"
        )
    return Scale(
        centre=centre,
        threshold=threshold,
        method="quantile" if supported else "highest",
        interval=_quantile_interval(ordered, rate),
    )


def _tail_scale(name: str, ordered: npt.NDArray[np.float64], centre: float, rate: float) -> Scale | None:
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
        threshold=found.threshold,
        method="tail",
        interval=Interval(low=found.low, high=found.high, level=LEVEL),
    )


def _quantile_interval(ordered: npt.NDArray[np.float64], rate: float) -> Interval | None:
    """Two of the scores that hold the 1 - rate quantile between them, for any distribution.

    The count of scores below that quantile is binomial. Without an upper end where the sample has none.
    """
    n = len(ordered)
    below = np.cumsum(_binomial(n, 1 - rate))
    beside = (1 - LEVEL) / 2
    low = int(np.searchsorted(below, beside, side="right"))  # scores below, in at least 97.5 % of samples
    if low == 0:
        return None
    high = int(np.searchsorted(below, 1 - beside)) + 1
    return Interval(
        low=float(ordered[low - 1]), high=float(ordered[high - 1]) if high <= n else None, level=LEVEL
    )


def _binomial(n: int, p: float) -> npt.NDArray[np.float64]:
    """Probabilities of 0 to n successes."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    logs = factorials[n] - factorials - factorials[::-1] + k * np.log(p) + (n - k) * np.log1p(-p)
    return np.asarray(np.exp(logs))


def _note(scale: Scale, count: int, rate: float) -> str | None:
    """What a reader must know of the sample."""
    supported = 1 / (count + 1)
    if scale.method == "highest":
        return (
            f"{count} normal parts support no rate below {supported:.3g}: the threshold is the highest "
            f"normal score, and about {supported:.1%} of normal parts may be rejected; use more parts"
        )
    if scale.method == "tail" and rate < supported:
        return (
            f"{count} normal parts alone support no rate below {supported:.3g}: the threshold continues "
            f"their highest scores by an extreme-value tail, and may be too low or too high; use more parts"
        )
    return None
