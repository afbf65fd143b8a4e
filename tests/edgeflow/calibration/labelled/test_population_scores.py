"""Ten relabelled rejects among 5,000 OK parts: the threshold of the whole population, by every graph."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeflow.calibration.labelled.population_scores import (
    GraphScores,
    TooFewKeptError,
    own_scores,
    scores_by_other_graph,
)
from edgeflow.calibration.part_scores import MeasuredPart
from edgeflow.calibration.thresholds import threshold_of
from edgeflow.contracts.datasets.population import PopulationPart

RATE = 0.01
GOOD, REJECTED = 5000, 10
VIEWS = ("left", "top")


def part(number: int, score: float, **changes: object) -> PopulationPart:
    plain = PopulationPart(
        result_id=f"r-{number}",
        part_id=f"p-{number}",
        verdict="OK",
        label=None,
        score=score,
        views={"left": score, "top": score},
        bounds=(),
        complete=True,
        disputed=False,
        kept=None,
        data_set=None,
        evidence=None,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def measured(score: float) -> MeasuredPart:
    return MeasuredPart(part=score, views=(score, score), subsets=())


def box(
    *, exact: bool, every: int, widest: float = 0.3
) -> tuple[list[PopulationPart], dict[str, MeasuredPart], np.ndarray]:
    """Normal parts of a box, their measured scores where they were kept, and all true scores.

    All rejects are kept, and one of so many good parts.
    """
    rng = np.random.default_rng(42)
    truth = np.concatenate([rng.normal(1.0, 0.1, GOOD), rng.uniform(1.45, 1.8, REJECTED)])
    gap = rng.uniform(0.05, widest, GOOD) if not exact else np.zeros(GOOD)
    bounds = () if exact else ("left", "top")
    parts = [part(n, truth[n] + gap[n], bounds=bounds) for n in range(GOOD)]
    parts += [
        part(n, truth[n] + (0 if exact else 0.1), verdict="NG", label="OK", bounds=bounds)
        for n in range(GOOD, GOOD + REJECTED)
    ]
    again = {f"r-{n}": measured(truth[n]) for n in range(len(truth)) if n >= GOOD or n % every == every - 1}
    return parts, again, truth


def threshold(scores: GraphScores) -> float:
    return scores.thresholds(RATE, "auto", 1e-4)[0].part.threshold


def test_exact_scores_of_the_history_are_the_population() -> None:
    parts, _, truth = box(exact=True, every=100)
    found, effective = own_scores(parts, {}, VIEWS, ()).thresholds(RATE, "auto", 1e-4)
    assert found.part.threshold == threshold_of(truth.astype(np.float32), RATE)
    assert (found.normal_parts, effective) == (GOOD + REJECTED, GOOD + REJECTED)


def test_ten_relabelled_rejects_move_the_threshold_as_the_population_and_not_as_the_folder() -> None:
    """Only bounds are known of the good parts, and one of twenty was kept."""
    parts, again, truth = box(exact=False, every=20)
    scores = own_scores(parts, again, VIEWS, ())
    found, effective = scores.thresholds(RATE, "auto", 1e-4)
    wanted = threshold_of(truth.astype(np.float32), RATE)
    folder = threshold_of(np.array([one.part for one in again.values()], np.float32), RATE)
    as_bounds = threshold_of(np.array([one.score for one in parts], np.float32), RATE)
    assert folder - wanted > 0.3
    assert abs(found.part.threshold - wanted) < 0.1 * (folder - wanted)
    assert abs(found.part.threshold - wanted) < abs(as_bounds - wanted) / 2
    interval = found.part.interval
    assert interval is not None
    assert interval.high is not None
    assert interval.low <= wanted <= interval.high < folder
    assert 100 < effective < GOOD
    assert found.normal_parts == int(effective)


def test_a_graph_that_did_not_run_gets_the_population_s_threshold_on_its_own_scale() -> None:
    parts, again, truth = box(exact=True, every=40)
    rng = np.random.default_rng(1)
    by_other = {name: measured(2 * one.part + 3 + rng.normal(0, 0.005)) for name, one in again.items()}
    ran = own_scores(parts, {}, VIEWS, ())
    wanted = 2 * threshold_of(truth.astype(np.float32), RATE) + 3
    folder = threshold_of(np.array([one.part for one in by_other.values()], np.float32), RATE)
    found = threshold(scores_by_other_graph(parts, ran, by_other, ()))
    assert abs(found - wanted) < 0.05 < (folder - wanted) / 5


def test_where_too_little_was_kept_nothing_is_said() -> None:
    parts, again, _ = box(exact=False, every=1000)
    with pytest.raises(TooFewKeptError, match=r"only 5 with images.*evidence\.ok_sample"):
        own_scores(parts, again, VIEWS, ())
    parts, again, _ = box(exact=False, every=100, widest=0.9)
    with pytest.raises(TooFewKeptError, match=r"no better than \d+ exactly known parts.*and 99 are needed"):
        own_scores(parts[:GOOD], again, VIEWS, ()).thresholds(RATE, "auto", 1e-4)


def test_scores_without_some_views_come_from_kept_parts() -> None:
    parts, again, truth = box(exact=True, every=20)
    without = {name: replace(one, subsets=(one.part - 0.2,)) for name, one in again.items()}
    found, _ = own_scores(parts, without, VIEWS, [("top",)]).thresholds(RATE, "auto", 1e-4)
    wanted = threshold_of((truth - 0.2).astype(np.float32), RATE)
    assert found.subsets["top"].threshold == pytest.approx(wanted, abs=1e-3)
