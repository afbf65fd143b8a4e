"""Drift of one view: learns a reference from the first parts under a bundle, then watches; pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from edgeflow.monitoring.drift.chart import Direction, DriftChart, decision_limit
from edgeflow.monitoring.drift.reference import Reference, make_reference

__all__ = ["ViewDrift", "ViewScore"]

_EXACT_SHARE = 0.9
_ERRORS = 3.0
_MEDIAN = 1.2533  # standard error of a median over that of a mean


class ViewScore(NamedTuple):
    """One view of a good part, on the scale where the threshold is 1.

    Attributes:
        score: as the result has it.
        exact: False where the view's mask was not asked for, so that ``score`` is the highest possible one.
        unmasked: the highest score that any mask could give; of every part, asked or not.
    """

    score: float
    exact: bool
    unmasked: float


@dataclass(frozen=True, kw_only=True)
class ViewDrift:
    """State of one view.

    Scores without a mask are bounds, and a mask is asked for where the bound is high: leaving bounds out, or
    mixing both, would make a drift of its own. So one kind is taken throughout: the result's score where
    masks are known for nearly all parts of the reference, otherwise the unmasked score of every part.

    Attributes:
        learned: the first parts, while there is no reference.
        unmasked: the reference is of unmasked scores.
        offset: standard deviations between the reference and the bundle's calibration; 0 where they agree
            within their errors, or where they cannot be compared.
    """

    learned: tuple[ViewScore, ...] = ()
    reference: Reference | None = None
    unmasked: bool = False
    offset: float = 0.0
    chart: DriftChart = field(default_factory=DriftChart)

    def added(self, score: ViewScore, at: str, *, bound: float, parts: int, calibration: int) -> ViewDrift:
        """Return the state with one more good part.

        Args:
            at: RFC 3339.
            bound: see :meth:`DriftChart.added`.
            parts: of the reference.
            calibration: parts that the bundle was calibrated with.
        """
        if self.reference is None:
            learned = (*self.learned, score)
            if len(learned) < parts:
                return replace(self, learned=learned)
            return _begun(learned, bound, calibration)
        normal = self.reference.normal(score.unmasked if self.unmasked else score.score)
        limit = decision_limit(self.reference, bound)
        return replace(self, chart=self.chart.added(normal, at, bound=bound, limit=limit))

    @property
    def direction(self) -> Direction | None:
        """Direction of the drift that stands, of either kind; None where there is none."""
        if self.chart.drift is not None:
            return self.chart.drift
        return None if not self.offset else "up" if self.offset > 0 else "down"


def _begun(learned: tuple[ViewScore, ...], bound: float, calibration: int) -> ViewDrift:
    unmasked = sum(score.exact for score in learned) < _EXACT_SHARE * len(learned)
    reference = make_reference([score.unmasked if unmasked else score.score for score in learned])
    offset = 0.0 if unmasked else _offset(reference, bound, calibration)
    return ViewDrift(reference=reference, unmasked=unmasked, offset=offset)


def _offset(reference: Reference, bound: float, calibration: int) -> float:
    """Distance of the medians in standard deviations; a scaled score of 0 is the median at calibration."""
    deviation = reference.deviation
    if not deviation > 0.0:
        return 0.0
    found = reference.score_at(0.0) / deviation
    error = _MEDIAN * math.hypot(reference.standard_error, 1 / math.sqrt(max(calibration, 1)))
    return found if abs(found) > bound + _ERRORS * error else 0.0
