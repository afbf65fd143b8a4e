"""Reference of a view: normal scores by rank, and the correlation of neighbouring parts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.score_drift import stable_scores
from edgeflow.monitoring.drift.reference import MOST, make_reference


def test_normal_scores_have_a_mean_of_nothing_and_no_tails_whatever_the_distribution() -> None:
    scores = np.random.default_rng(1).pareto(1.1, 2000)  # has no variance
    reference = make_reference(scores.tolist())
    normal = [reference.normal(score) for score in np.random.default_rng(2).pareto(1.1, 20_000).tolist()]
    assert abs(np.mean(normal)) < 0.05
    assert 0.9 < np.std(normal) < 1.0
    assert reference.normal(1e300) == MOST
    assert reference.normal(-1e300) == -MOST


def test_equal_scores_are_all_in_the_middle() -> None:
    reference = make_reference([0.0] * 500)
    assert reference.normal(0.0) == pytest.approx(0.0, abs=1e-6)
    assert reference.deviation == 0.0


@pytest.mark.parametrize(("neighbours", "of_means"), [(0.0, 1.0), (0.3, 1.86), (0.5, 3.0), (0.7, 5.7)])
def test_the_correlation_is_that_of_the_means(neighbours: float, of_means: float) -> None:
    scores = stable_scores(20_000, neighbours, np.random.default_rng(3))
    assert 0.9 * of_means < make_reference(scores.tolist()).correlation < 1.5 * of_means


def test_scores_go_back_and_forth() -> None:
    reference = make_reference(np.random.default_rng(4).normal(0.3, 0.1, 2000).tolist())
    assert reference.score_at(0.0) == pytest.approx(0.3, abs=0.01)
    assert reference.normal(reference.score_at(1.0)) == pytest.approx(1.0, abs=0.01)
    assert reference.deviation == pytest.approx(0.1, rel=0.1)
