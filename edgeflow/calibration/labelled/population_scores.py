"""Scores of a population by one graph: exact ones of the history, others from parts scored again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgeflow.calibration.detection_rates import needed_parts
from edgeflow.calibration.labelled.completed_scores import CompletedScores, complete
from edgeflow.calibration.part_scores import MeasuredPart
from edgeflow.calibration.thresholds import LEVEL, Method, calibrate
from edgeflow.contracts.datasets.population import PopulationPart
from edgeflow.contracts.manifest import Interval, Scale, Thresholds
from edgeflow.errors import DataError

__all__ = ["LEAST_KEPT", "GraphScores", "TooFewKeptError", "own_scores", "scores_by_other_graph"]

LEAST_KEPT = 50
"""So many parts judged OK must have been kept, where others take their difference."""

Floats = npt.NDArray[np.float64]


class TooFewKeptError(DataError):
    """Too few OK parts were kept to know what the others score by a graph."""


@dataclass(frozen=True, kw_only=True)
class GraphScores:
    """Scores of all normal parts of a population by one graph.

    Attributes:
        views: by view, in the order of the bundle.
        subsets: part scores from some of the views alone.
        kept: how many parts were scored again.
    """

    part: CompletedScores
    views: Mapping[str, CompletedScores]
    subsets: Mapping[tuple[str, ...], CompletedScores]
    kept: int

    def thresholds(self, rate: float, method: Method, tolerance: float) -> tuple[Thresholds, float]:
        """Return the graph's thresholds, and how many exactly known parts would tell the rate as well.

        Raises:
            TooFewKeptError: too few of the parts are known for this rate.
            DataError: see :func:`~edgeflow.calibration.thresholds.calibrate`.
        """
        found = calibrate(
            self.part.scores.astype(np.float32),
            np.stack([known.scores for known in self.views.values()], 1).astype(np.float32),
            tuple(self.views),
            rate,
            method=method,
            subsets={present: known.scores.astype(np.float32) for present, known in self.subsets.items()},
            tolerance=tolerance,
        )
        effective = self.part.effective_parts(rate)
        count = len(self.part.scores)
        if effective < min(needed_parts(rate), count / 2):
            raise TooFewKeptError(
                f"{count} good parts are in the history and {self.kept} of them were scored again: together "
                f"they tell a false-reject rate of {rate:g} no better than {effective:.0f} exactly known "
                f"parts would, and {needed_parts(rate)} are needed; {_KEEP_MORE}"
            )
        updates = {
            "part": _with_interval(found.part, self.part, rate),
            "views": {view: _with_interval(found.views[view], of, rate) for view, of in self.views.items()},
            "normal_parts": max(1, int(effective)),
        }
        return found.model_copy(update=updates), effective


_KEEP_MORE = (
    "raise evidence.ok_sample in the box file (0.05 keeps one good part of twenty), and calibrate again later"
)


def own_scores(
    parts: Sequence[PopulationPart],
    measured: Mapping[str, MeasuredPart],
    views: tuple[str, ...],
    subsets: Sequence[tuple[str, ...]],
) -> GraphScores:
    """Return the scores by the graph that ran on the box: most are in the history.

    A score that is only a bound was measured again where the images were kept; the others lie below their
    bound by as much as kept ones with a similar bound did.

    Args:
        parts: normal ones, scored with all views.
        measured: result id → scores of parts that were scored again.

    Raises:
        TooFewKeptError: too few parts were kept.
    """
    again = [measured.get(part.result_id) for part in parts]
    sampled = np.array([part.verdict == "OK" for part in parts], bool)

    def known(place: Callable[[PopulationPart], float], index: int | None, bound: Floats) -> CompletedScores:
        guide = np.array([place(part) for part in parts], np.float64)
        remeasured = np.array(
            [np.nan if one is None else one.part if index is None else one.views[index] for one in again]
        )
        own = np.where(bound, np.minimum(remeasured, guide), guide)
        return _completed(own, guide, bound & ~np.isnan(remeasured), sampled)

    inexact = np.array([not part.is_exact for part in parts], bool)
    part = known(lambda one: float(one.score or 0.0), None, inexact)
    by_view = {
        view: known(
            lambda one, view=view: one.views[view],  # type: ignore[misc]
            index,
            np.array([view in one.bounds for one in parts], bool),
        )
        for index, view in enumerate(views)
    }
    return GraphScores(
        part=part,
        views=by_view,
        subsets=_subsets(part.scores, again, subsets, sampled),
        kept=sum(one is not None for one in again),
    )


def scores_by_other_graph(
    parts: Sequence[PopulationPart],
    ran: GraphScores,
    measured: Mapping[str, MeasuredPart],
    subsets: Sequence[tuple[str, ...]],
) -> GraphScores:
    """Return the scores by a graph that did not run: kept parts are measured, others take a neighbour's.

    Args:
        ran: scores by the graph that ran.
        measured: result id → scores by this graph.

    Raises:
        TooFewKeptError: too few parts were kept.
    """
    again = [measured.get(part.result_id) for part in parts]
    sampled = np.array([part.verdict == "OK" for part in parts], bool)
    known = np.array([one is not None for one in again], bool)
    own = np.array([np.nan if one is None else one.part for one in again])
    views = {
        view: _completed(
            np.array([np.nan if one is None else one.views[index] for one in again]),
            of.scores,
            known,
            sampled,
        )
        for index, (view, of) in enumerate(ran.views.items())
    }
    return GraphScores(
        part=_completed(own, ran.part.scores, known, sampled),
        views=views,
        subsets=_subsets(ran.part.scores, again, subsets, sampled),
        kept=int(known.sum()),
    )


def _subsets(
    guide: Floats,
    again: Sequence[MeasuredPart | None],
    subsets: Sequence[tuple[str, ...]],
    sampled: npt.NDArray[np.bool_],
) -> dict[tuple[str, ...], CompletedScores]:
    known = np.array([one is not None for one in again], bool)
    return {
        present: _completed(
            np.array([np.nan if one is None else one.subsets[index] for one in again]), guide, known, sampled
        )
        for index, present in enumerate(subsets)
    }


def _completed(
    own: Floats, guide: Floats, donors: npt.NDArray[np.bool_], sampled: npt.NDArray[np.bool_]
) -> CompletedScores:
    unknown, kept = int(np.isnan(own).sum()), int((donors & sampled).sum())
    if unknown and kept < LEAST_KEPT:
        raise TooFewKeptError(
            f"of {unknown} of {len(own)} good parts in the history the exact scores are not known, and of "
            f"the parts judged OK only {kept} with images can be scored again; at least {LEAST_KEPT} are "
            f"needed; {_KEEP_MORE}"
        )
    return complete(own, guide, donors, sampled)


def _with_interval(scale: Scale, of: CompletedScores, rate: float) -> Scale:
    """The scale with an interval that also knows of imputed scores, where there are any."""
    if of.is_whole:
        return scale
    low, high = of.interval(rate, LEVEL)
    low = min(low, scale.threshold)
    high = None if high is None else max(high, scale.threshold)
    return scale.model_copy(update={"interval": Interval(low=low, high=high, level=LEVEL)})
