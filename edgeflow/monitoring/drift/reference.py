"""Reference of a view: scores of the first good parts under a bundle, normal scores against them; pure."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

__all__ = ["MOST", "Reference", "make_reference"]

MOST = 2.0
"""Beyond so many standard deviations a score counts no more: one odd part must not move the mean."""
_BATCH = 25
_CORRELATION = (1.0, 16.0)
_UNSURE = 1.2  # forty batch means give the variance within about a fifth
_NORMAL = NormalDist()


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Scores of good parts that later ones are compared with.

    Attributes:
        scores: rising.
        correlation: variance of the mean of many parts, over that of as many independent ones: 1 for
            independent parts, (1 + r) / (1 - r) where neighbours are correlated by r.
    """

    scores: tuple[float, ...]
    correlation: float

    def normal(self, score: float) -> float:
        """Return the normal score: standard deviations from the middle, by rank; within ``MOST``.

        Ranks need no assumption about the distribution: tails may be as heavy as they like.
        """
        rank = (bisect_left(self.scores, score) + bisect_right(self.scores, score)) / 2
        normal = _NORMAL.inv_cdf((rank + 0.5) / (len(self.scores) + 1))
        return max(-MOST, min(MOST, normal))

    def score_at(self, normal: float) -> float:
        """Return the score that is so many standard deviations from the middle."""
        place = _NORMAL.cdf(normal) * (len(self.scores) + 1) - 0.5
        return float(np.interp(place, range(len(self.scores)), self.scores))

    @property
    def standard_error(self) -> float:
        """Error of its middle, in standard deviations."""
        return math.sqrt(self.correlation / len(self.scores))

    @property
    def deviation(self) -> float:
        """Standard deviation of the scores, from their quartiles."""
        quartile = _NORMAL.inv_cdf(0.75)
        return (self.score_at(quartile) - self.score_at(-quartile)) / (2 * quartile)


def make_reference(scores: Sequence[float]) -> Reference:
    """Return the reference of scores in the order of their parts, from which their correlation comes.

    The correlation is that of means of 25 parts, a fifth more for its error, and at most 16: beyond that,
    what moves the scores is a drift.
    """
    alone = Reference(scores=tuple(sorted(scores)), correlation=1.0)
    normal = np.array([alone.normal(score) for score in scores])
    whole = normal[: len(normal) // _BATCH * _BATCH]
    variance = float(normal.var())
    if len(whole) < 2 * _BATCH or variance == 0.0:
        return alone
    of_means = float(whole.reshape(-1, _BATCH).mean(1).var(ddof=1))
    least, most = _CORRELATION
    correlation = min(most, max(least, _UNSURE * _BATCH * of_means / variance))
    return Reference(scores=alone.scores, correlation=correlation)
