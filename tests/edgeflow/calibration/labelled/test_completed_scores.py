"""Kept parts stand for all: the quantile is that of the population, and its interval is honest."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.calibration.labelled.completed_scores import CompletedScores, complete
from edgeflow.calibration.thresholds import threshold_of

RATE = 0.01


def sampled(count: int, every: int, noise: float, seed: int = 5) -> tuple[CompletedScores, np.ndarray]:
    """Bounds of all parts, and the true scores of some; returned beside all true scores."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(1.0, 0.1, count)
    guide = truth + rng.uniform(0.0, noise, count)
    kept = np.arange(count) % every == every - 1
    return complete(np.where(kept, truth, np.nan), guide, kept, np.ones(count, bool)), truth


def test_known_scores_are_taken_as_they_are() -> None:
    own = np.array([1.0, 3.0, 2.0])
    found = complete(own, own, np.zeros(3, bool), np.ones(3, bool))
    assert found.is_whole
    assert found.scores.tolist() == own.tolist()
    assert found.effective_parts(RATE) == 3.0


def test_unknown_scores_take_the_differences_of_their_nearest_donors_in_turn() -> None:
    guide = np.concatenate([np.arange(10.0), np.full(10, 2.2), [50.0]])
    own = np.concatenate([np.arange(10.0) - np.arange(10) / 10, np.full(10, np.nan), [np.nan]])
    donors = np.arange(21) < 10
    found = complete(own, guide, donors, np.ones(21, bool))
    assert found.scores[:10].tolist() == own[:10].tolist()
    assert sorted(found.scores[10:20]) == pytest.approx(np.repeat(2.2 - np.array([4, 3, 2, 1, 0]) / 10, 2))
    assert sum(found.stands_for.values()) == 11
    assert [found.stands_for[donor] for donor in range(5)] == [2, 2, 2, 2, 2]
    assert 50 - 0.9 <= found.scores[20] <= 50 - 0.5
    assert not found.is_whole


def test_a_part_takes_from_donors_of_its_own_verdict() -> None:
    own, guide = np.array([0.5, np.nan, np.nan, 1.0]), np.array([1.0, 2.0, 3.0, 2.1])
    donors, judged_ok = np.array([True, False, False, True]), np.array([True, True, False, False])
    assert complete(own, guide, donors, judged_ok).scores.tolist() == pytest.approx([0.5, 1.5, 1.9, 1.0])
    donors[3] = False
    assert complete(own, guide, donors, judged_ok).scores.tolist() == [0.5, 1.5, 2.5, 1.0]


@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_the_quantile_is_that_of_all_parts_and_the_interval_holds_it(noise: float) -> None:
    inside = 0
    for seed in range(12):
        found, truth = sampled(3000, 15, noise, seed)
        low, high = found.interval(RATE, 0.95)
        inside += low <= 1.2326 <= (high or 9)
        wanted = threshold_of(truth.astype(np.float32), RATE)
        assert abs(threshold_of(found.scores.astype(np.float32), RATE) - wanted) < 0.08
    assert inside >= 10


def test_fewer_kept_parts_tell_less() -> None:
    effective = [sampled(4000, every, 0.3)[0].effective_parts(RATE) for every in (4, 20, 100)]
    assert 4000 > effective[0] > effective[1] > effective[2]
    assert effective[2] < 99, "40 kept parts are too few for this rate"
    close = sampled(4000, 100, 0.001)[0]
    assert close.effective_parts(RATE) > 1000, "the history's own scores tell nearly all"
