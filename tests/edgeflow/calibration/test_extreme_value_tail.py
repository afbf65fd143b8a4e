"""Thresholds beyond the sample, against distributions whose tails are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from edgeflow.calibration.extreme_value_tail import tail_threshold

KINDS = {
    "light": stats.norm(),
    "exponential": stats.expon(),
    "heavy": stats.t(4),
    "skewed": stats.gamma(2),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rate_is_kept_better_than_by_the_highest_score(kind: str) -> None:
    """On average over samples of 60 parts, at a rate that they cannot support."""
    distribution, rng = KINDS[kind], np.random.default_rng(1)
    by_tail, by_highest = [], []
    for _ in range(40):
        scores = distribution.rvs(60, random_state=rng)
        found = tail_threshold(scores, 0.005, 0.95)
        assert found is not None
        by_tail.append(distribution.sf(found.threshold))
        by_highest.append(distribution.sf(scores.max()))
    assert np.mean(by_tail) < 0.7 * np.mean(by_highest)
    assert 0.001 < np.mean(by_tail) < 0.0125


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("parts", "rate"), [(40, 0.01), (150, 0.03)])
def test_interval_holds_the_true_score_and_its_own_threshold(kind: str, parts: int, rate: float) -> None:
    """Of 95 % intervals, hardly more than one in ten may fail; tools/benchmarks/tail_intervals has more."""
    distribution, rng = KINDS[kind], np.random.default_rng(5)
    held = 0
    for _ in range(12):
        found = tail_threshold(distribution.rvs(parts, random_state=rng), rate, 0.95)
        assert found is not None
        assert found.low <= found.threshold <= found.high
        held += found.low <= distribution.isf(rate) <= found.high
    assert held >= 10


def test_interval_narrows_with_more_parts() -> None:
    few, many = (
        tail_threshold(KINDS["skewed"].ppf((np.arange(parts) + 0.5) / parts), 0.01, 0.95)
        for parts in (60, 2000)
    )
    assert few is not None
    assert many is not None
    assert many.high - many.low < 0.5 * (few.high - few.low)


def test_shape_tells_a_bounded_tail_from_a_heavy_one() -> None:
    rng = np.random.default_rng(2)
    bounded = tail_threshold(rng.uniform(size=400), 0.001, 0.95)
    heavy = tail_threshold(rng.pareto(3, size=400), 0.001, 0.95)
    assert bounded is not None
    assert heavy is not None
    assert bounded.shape < 0 < heavy.shape
    assert bounded.highest == 80


def test_threshold_moves_and_scales_with_the_scores() -> None:
    scores = np.random.default_rng(3).gamma(2, size=100)
    one, two = tail_threshold(scores, 0.005, 0.95), tail_threshold(3 * scores - 7, 0.005, 0.95)
    assert one is not None
    assert two is not None
    assert two.threshold == pytest.approx(3 * one.threshold - 7)
    assert (two.low, two.high) == pytest.approx((3 * one.low - 7, 3 * one.high - 7))


def test_equal_highest_scores_have_no_tail() -> None:
    assert tail_threshold(np.repeat([0.0, 1.0], 40), 0.001, 0.95) is None
