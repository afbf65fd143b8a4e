"""Shares of normal and of defective parts that a threshold rejects, and what so few parts can prove."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.manifest import LabelledScores, Thresholds

__all__ = [
    "MIN_RECALL",
    "Rate",
    "binomial",
    "false_rejects",
    "keep_scores",
    "low_recall",
    "many_rejects",
    "needed_parts",
    "recall",
    "shortcomings",
]

MIN_RECALL = 0.5
"""A bundle whose recall is surely below this is useless, unless a recipe says otherwise."""
_LEVEL = 0.95
_MOST_SCORES = 1000


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Number of rejected parts among some parts.

    Attributes:
        lower, upper: bounds that each hold with 95 % for the rate of all such parts (Clopper-Pearson).
    """

    rejected: int
    parts: int

    @property
    def share(self) -> float:
        """Share of the parts that were rejected."""
        return self.rejected / self.parts

    @property
    def upper(self) -> float:
        """Upper end of the confidence interval of the share."""
        return 1.0 - _lower(self.parts - self.rejected, self.parts)

    @property
    def lower(self) -> float:
        """Lower end of the confidence interval of the share."""
        return _lower(self.rejected, self.parts)

    def __str__(self) -> str:
        return f"{self.rejected} of {self.parts} ({self.share:.1%})"


def recall(thresholds: Thresholds, at: float | None = None) -> Rate | None:
    """Of the labelled defective parts; None where there were none.

    Args:
        at: raw part threshold; default: the part's.
    """
    labelled = thresholds.labelled
    if labelled is None or not labelled.defective:
        return None
    return _rate(labelled.defective, labelled.defective_parts, _at(thresholds, at))


def false_rejects(thresholds: Thresholds, at: float | None = None) -> Rate | None:
    """Of the labelled normal parts that the thresholds do not come from; None where there were none."""
    labelled = thresholds.labelled
    if labelled is None or not labelled.normal:
        return None
    return _rate(labelled.normal, labelled.normal_parts, _at(thresholds, at))


def needed_parts(rate: float) -> int:
    """Number of held-out normal parts that a false-reject rate needs, for any distribution of scores."""
    return max(1, math.ceil(1 / rate - 1 - 1e-9))


def keep_scores(normal: npt.NDArray[np.float32], defective: npt.NDArray[np.float32]) -> LabelledScores:
    """Scores for the manifest; of more than a thousand, as many evenly spaced ones."""
    return LabelledScores(
        normal=_kept(normal),
        defective=_kept(defective),
        normal_parts=len(normal),
        defective_parts=len(defective),
    )


def shortcomings(thresholds: Thresholds, min_recall: float | None = None) -> tuple[str, ...]:
    """Return the reasons against the use of a bundle on a line, in sentences; empty if there are none.

    Args:
        min_recall: what the recipe asks for; default ``MIN_RECALL``.
    """
    found = []
    needed = needed_parts(thresholds.false_reject_rate)
    if thresholds.normal_parts < needed:
        found.append(
            f"{thresholds.normal_parts} held-out normal parts are too few for a false-reject rate of "
            f"{thresholds.false_reject_rate:g}, which needs at least {needed}: record more good parts"
        )
    rate = low_recall(thresholds, min_recall)
    if rate is not None:
        wanted = MIN_RECALL if min_recall is None else min_recall
        found.append(
            f"it rejects only {rate} of the labelled defective parts, and with 95 % confidence less than "
            f"{rate.upper:.0%} of all such parts (export.min_recall {wanted:g})"
        )
    rejected = many_rejects(thresholds)
    if rejected is not None:
        found.append(
            f"it rejects {rejected} of the normal test parts, surely more than the false-reject rate of "
            f"{thresholds.false_reject_rate:g} that was asked for"
        )
    return tuple(found)


def low_recall(thresholds: Thresholds, min_recall: float | None = None) -> Rate | None:
    """Return the recall where it is surely below what the recipe asks for; None where it may be enough."""
    rate = recall(thresholds)
    wanted = MIN_RECALL if min_recall is None else min_recall
    return rate if rate is not None and rate.upper < wanted else None


def many_rejects(thresholds: Thresholds) -> Rate | None:
    """Return the false rejects where they are surely more than the rate; None where they may be as many."""
    rate = false_rejects(thresholds)
    return rate if rate is not None and rate.lower > thresholds.false_reject_rate else None


def binomial(n: int, p: float) -> npt.NDArray[np.float64]:
    """Probabilities of 0 to n successes."""
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, n + 1)))])
    k = np.arange(n + 1)
    logs = factorials[n] - factorials - factorials[::-1] + k * np.log(p) + (n - k) * np.log1p(-p)
    return np.asarray(np.exp(logs))


def _at(thresholds: Thresholds, at: float | None) -> float:
    return thresholds.part.threshold if at is None else at


def _rate(scores: tuple[float, ...], parts: int, threshold: float) -> Rate:
    share = sum(score > threshold for score in scores) / len(scores)
    return Rate(rejected=round(share * parts), parts=parts)


def _lower(successes: int, n: int) -> float:
    """The rate at which so many successes, or more, are no likelier than 5 %."""
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        unlikely = binomial(n, middle)[successes:].sum() < 1 - _LEVEL
        low, high = (middle, high) if unlikely else (low, middle)
    return low


def _kept(scores: npt.NDArray[np.float32]) -> tuple[float, ...]:
    ordered = np.sort(scores.astype(np.float64))
    if len(ordered) > _MOST_SCORES:
        ordered = ordered[np.linspace(0, len(ordered) - 1, _MOST_SCORES).round().astype(int)]
    return tuple(float(score) for score in ordered)
