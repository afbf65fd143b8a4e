"""A quantile beyond the sample: a generalised Pareto tail fitted to the highest scores."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

__all__ = ["LEAST_SCORES", "TailThreshold", "tail_threshold"]

Array = npt.NDArray[np.float64]

LEAST_SCORES = 40
"""Fewer scores than this say nothing of a tail."""

_LEAST_EXCESSES = 15
_SHARE = 0.2
# The shape of a few dozen excesses is known to about ±0.3; beyond these bounds it is noise, not knowledge.
_SHAPES = (-0.5, 0.5)
_RESAMPLES = 500
_SEED = 20
_MOST_CORRECTION = 100.0
_TINY = float(np.finfo(np.float64).tiny)
# The likelihood's grid: shapes beyond those of the fit, since an interval must also hold what the fit leaves
# out; scales in units of the mean excess; shares beyond the start in binomial deviations.
_GRID_SHAPES = np.linspace(-0.9, 0.6, 42)  # 0 is not among them
_GRID_SCALES = np.geomspace(0.3, 3.5, 81)
_GRID_SHARES = np.linspace(-3.2, 3.2, 13)
_WIDER = 1.7
"""Factor on the likelihood's cut: the tail is fitted where it is not yet quite Pareto's (decision 0191)."""


@dataclass(frozen=True, kw_only=True)
class TailThreshold:
    """A threshold beyond the sample.

    Attributes:
        low, high: confidence interval of the score that normal parts exceed at the rate; the threshold lies
            in it.
        shape: of the tail: below 0 it ends somewhere, above 0 it is heavier than an exponential one.
        highest: how many of the highest scores the tail was fitted to.
    """

    threshold: float
    low: float
    high: float
    shape: float
    highest: int


def tail_threshold(scores: Array, rate: float, level: float) -> TailThreshold | None:
    """The score that a new part exceeds with a probability of about ``rate``.

    The tail is fitted by probability-weighted moments (Hosking and Wallis 1987). A plain fit to so few
    scores is exceeded two or three times too often on average; so samples are drawn from the fitted tail and
    fitted again, and the threshold is moved until those fits would have kept the rate. The generator is
    seeded: the same scores give the same threshold. The interval is that of the profile likelihood.

    Args:
        scores: (n,), at least ``LEAST_SCORES``.
        rate: below the share of scores that the tail is fitted to.
        level: of the confidence interval.

    Returns:
        None where too many of the highest scores are equal.
    """
    count, n = _excesses(len(scores)), len(scores)
    tail = _fit(np.sort(scores)[np.newaxis], count)
    if not tail[0, 1] > 0:
        return None
    refits = _fit(np.sort(_resampled(scores, tail, count), axis=1), count)
    chance = _corrected(tail, refits, rate * n / count)
    threshold = float(_quantiles(tail, chance)[0])
    low, high = _likely(np.sort(scores), count, rate, level)
    return TailThreshold(
        threshold=threshold,
        low=min(low, threshold),
        high=max(high, threshold),
        shape=float(tail[0, 2]),
        highest=count,
    )


def _resampled(scores: Array, tail: Array, count: int) -> Array:
    """Samples (m, n) from the scores below the tail's start and from the tail."""
    rng = np.random.default_rng(_SEED)
    n = len(scores)
    drawn = rng.choice(np.sort(scores)[: n - count], (_RESAMPLES, n))
    beyond = rng.random(drawn.shape) < count / n
    chance = 1 - rng.random(int(beyond.sum()))  # above 0: the tail may have no end
    drawn[beyond] = _quantiles(np.repeat(tail, len(chance), 0), chance)
    return drawn


def _corrected(tail: Array, refits: Array, chance: float) -> float:
    """The chance at which the refitted tails' quantiles are exceeded ``chance`` often on average."""
    low, high = np.log(chance) - np.log(_MOST_CORRECTION), np.log(chance)
    for _ in range(40):
        middle = (low + high) / 2
        exceeded = _exceeded(tail, _quantiles(refits, float(np.exp(middle)))).mean()
        low, high = (middle, high) if exceeded < chance else (low, middle)
    return float(np.exp(low))


def _likely(ordered: Array, count: int, rate: float, level: float) -> tuple[float, float]:
    """The lowest and highest score exceeded at the rate under any tail that the sample allows.

    The profile likelihood's interval, from a grid over shape, scale and share beyond the start; the cut is
    Student's, not the normal one, since the excesses are few.
    """
    n, start = len(ordered), ordered[-count - 1]
    excess = ordered[-count:] - start
    scale = excess.mean() * _GRID_SCALES
    shape = _GRID_SHAPES[:, np.newaxis]
    ends = 1 + shape[..., np.newaxis] * excess / scale[:, np.newaxis]
    logs = np.log(np.maximum(ends, _TINY)).sum(-1)
    of_tail = np.where(ends.min(-1) > 0, -count * np.log(scale) - (1 + 1 / shape) * logs, -np.inf)
    share = count / n + math.sqrt(count * (n - count) / n**3) * _GRID_SHARES
    share = np.clip(share, 1.02 * rate, 0.98)
    of_share = count * np.log(share) + (n - count) * np.log1p(-share)
    likelihood = of_tail[..., np.newaxis] + of_share
    likely = likelihood >= likelihood.max() - _WIDER * _student(level, count - 2) ** 2 / 2
    bent = np.expm1(shape * np.log(share / rate)) / shape
    found = (start + scale[:, np.newaxis] * bent[:, np.newaxis])[likely]
    return float(found.min()), float(found.max())


def _student(level: float, freedom: int) -> float:
    """Quantile of Student's distribution that holds the level on both sides (Cornish and Fisher's series)."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


def _excesses(n: int) -> int:
    return max(_LEAST_EXCESSES, math.ceil(_SHARE * n))


def _fit(ordered: Array, count: int) -> Array:
    """Start, scale and shape (m, 3) of the tails of m sorted samples (m, n)."""
    start = ordered[:, -count - 1]
    excess = ordered[:, -count:] - start[:, np.newaxis]
    rank = (np.arange(1, count + 1) - 0.35) / count
    mean = excess.mean(1)
    weighted = (excess * (1 - rank)).mean(1)
    difference = mean - 2 * weighted
    safe = np.where(difference > 0, difference, 1.0)
    shape = np.where(difference > 0, 2 - mean / safe, _SHAPES[1])
    shape = np.clip(shape, *_SHAPES)
    # A bounded tail must reach the highest score. With the shape given, the mean excess gives the scale.
    highest = excess[:, -1]
    ends = np.where(shape < 0, mean * (1 - shape) / np.where(shape < 0, -shape, 1.0), np.inf)
    shape = np.where(ends < highest, -mean / np.maximum(highest - mean, _TINY), shape)
    shape = np.clip(shape, *_SHAPES)
    return np.stack([start, mean * (1 - shape), shape], axis=1)


def _quantiles(tails: Array, chance: Array | float) -> Array:
    """Scores (m,) that are exceeded with a probability, among the scores beyond the start."""
    start, scale, shape = tails.T
    logarithm = -np.log(np.broadcast_to(np.asarray(chance, np.float64), start.shape))
    bent = np.where(shape == 0, 1.0, shape)
    return np.asarray(
        start + scale * np.where(np.abs(shape) < 1e-9, logarithm, np.expm1(shape * logarithm) / bent)
    )


def _exceeded(tail: Array, scores: Array) -> Array:
    """The probability, among the scores beyond the tail's start, to exceed each of these (m,)."""
    start, scale, shape = tail[0]
    beyond = np.maximum(scores - start, 0) / scale
    if abs(shape) < 1e-9:
        return np.asarray(np.exp(-beyond))
    return np.asarray(np.maximum(1 + shape * beyond, 0) ** (-1 / shape))
