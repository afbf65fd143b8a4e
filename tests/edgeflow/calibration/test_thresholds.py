"""Thresholds from normal parts."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeflow.calibration.thresholds import calibrate, operating_curve, threshold_of, view_subsets
from edgeflow.contracts.scoring import FloatArray, near_threshold, subset_scale
from edgeflow.errors import ConfigError, DataError


def test_new_normal_parts_are_rejected_at_most_at_the_rate() -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(300):
        scores = rng.gamma(2.0, size=199).astype(np.float32)
        threshold = threshold_of(scores, 0.05)
        rates.append(float((rng.gamma(2.0, size=2000) > threshold).mean()))
    # The rank alone is exact in expectation; the threshold lies above it, half-way to the next score.
    assert np.mean(rates) == pytest.approx(0.0475, abs=0.002)


def test_small_sample_stays_just_above_the_highest_score_and_says_so() -> None:
    scores = np.arange(10, dtype=np.float32)
    found = calibrate(scores, scores[:, None], ("C1",), 0.01)
    assert found.part.threshold == pytest.approx(9 + 0.01 * 4.5)
    assert found.note is not None
    assert "10 normal parts" in found.note


def test_large_sample_needs_no_note() -> None:
    scores = np.arange(200, dtype=np.float32)
    assert calibrate(scores, scores[:, None], ("C1",), 0.01).note is None


samples = st.integers(3, 60).flatmap(
    lambda count: arrays(np.float32, count, elements=st.floats(-1000, 1000, width=32))
)
rates = st.sampled_from([0.001, 0.01, 0.05, 0.1, 0.3])


@given(scores=samples, rate=rates)
def test_threshold_rejects_no_more_than_its_rank_and_stays_near_it(scores: FloatArray, rate: float) -> None:
    ordered = np.sort(scores.astype(np.float64))
    wanted = ordered[min(math.ceil((len(scores) + 1) * (1 - rate)), len(scores)) - 1]
    threshold = threshold_of(scores, rate)
    assert threshold >= wanted
    spread = wanted - np.median(ordered)
    if spread > 1:
        assert threshold <= wanted + 1.01 * spread


@given(
    gaps=arrays(np.float32, st.integers(3, 60), elements=st.floats(0.25, 2, width=32)),
    rate=rates,
    level=st.sampled_from([-300.0, 0.0, 300.0]),
)
def test_no_device_s_rounding_reaches_the_threshold(gaps: FloatArray, rate: float, level: float) -> None:
    scores = (level + np.cumsum(gaps)).astype(np.float32)
    scale = calibrate(scores, scores[:, None], ("C1",), rate).part
    assert np.abs(scores - scale.threshold).min() > near_threshold(scale, 1e-4)


def test_threshold_lies_midway_to_the_next_higher_score() -> None:
    scores = np.arange(100, dtype=np.float32)
    assert threshold_of(scores, 0.05) == 95.5  # of rank 96


def test_scores_that_only_rounding_tells_apart_are_passed_together() -> None:
    scores = np.array([1, 2, 3, 4, 5, 6, 7, 8, 8.0001, 8.0002, 9, 10], np.float32)
    assert threshold_of(scores, 0.4) == pytest.approx(8.5, abs=1e-3)  # its rank is the first 8


def test_one_outlier_does_not_carry_the_threshold_away() -> None:
    scores = np.append(np.linspace(0, 2, 199), 1000).astype(np.float32)
    assert threshold_of(scores, 0.01) == pytest.approx(2 + 0.5, abs=0.01)  # its rank is the last below


def test_tail_that_ends_on_a_score_moves_off_it() -> None:
    scores = np.random.default_rng(2).normal(size=80).astype(np.float32)
    free = calibrate(scores, scores[:, None], ("C1",), 0.01, method="tail").part.threshold
    hit = np.append(scores, np.float32(free))
    found = calibrate(hit, hit[:, None], ("C1",), 0.01, method="tail", tolerance=0.05).part
    assert np.abs(hit - found.threshold).min() > near_threshold(found, 0.005)


def test_operating_points_lie_between_scores_too() -> None:
    normal, defective = np.arange(10, dtype=np.float32), np.array([4, 9.001, 20], np.float32)
    points = calibrate(normal, normal[:, None], ("C1",), 0.2, defective=defective).operating_curve
    thresholds = np.array([point.threshold for point in points])
    assert np.abs(thresholds[:, None] - normal).min() > 0.01
    assert (points[0].false_reject_rate, points[-1].false_reject_rate) == (0.0, 0.9)
    assert points[0].recall == pytest.approx(1 / 3, abs=1e-6)


def test_negative_scores_keep_their_order() -> None:
    scores = np.linspace(-5, -1, 50, dtype=np.float32)
    found = calibrate(scores, scores[:, None], ("C1",), 0.1)
    assert found.part.centre == pytest.approx(-3)
    assert found.part.centre < found.part.threshold < 0


def test_scores_that_are_all_equal_give_no_threshold() -> None:
    scores = np.ones(20, np.float32)
    with pytest.raises(DataError, match="all 20 normal scores are equal"):
        calibrate(scores, scores[:, None], ("C1",), 0.1)


def test_score_that_is_not_finite_is_refused() -> None:
    scores = np.array([1, 2, np.nan], np.float32)
    with pytest.raises(DataError, match="not finite"):
        calibrate(scores, scores[:, None], ("C1",), 0.1)


def test_interval_holds_the_true_quantile_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    true = -np.log(0.1)  # exceeded by a tenth of an exponential distribution
    held = 0
    for _ in range(300):
        scores = rng.exponential(size=150).astype(np.float32)
        interval = calibrate(scores, scores[:, None], ("C1",), 0.1).part.interval
        assert interval is not None
        assert interval.high is not None
        held += interval.low <= true <= interval.high
    assert held / 300 >= 0.93


def test_interval_that_the_sample_does_not_bound_says_so() -> None:
    scores = np.arange(60, dtype=np.float32)
    interval = calibrate(scores, scores[:, None], ("C1",), 0.02).part.interval
    assert interval is not None
    assert interval.low < 59
    assert interval.high is None


def test_rate_beyond_the_sample_takes_the_tail_and_says_so() -> None:
    scores = np.random.default_rng(2).normal(size=80).astype(np.float32)
    found = calibrate(scores, scores[:, None], ("C1",), 0.001)
    assert found.part.method == found.views["C1"].method == "tail"
    assert found.part.threshold > scores.max()
    assert found.part.interval is not None
    assert found.part.interval.high is not None
    assert found.part.interval.low < found.part.threshold
    assert found.note is not None
    assert "extreme-value tail" in found.note
    assert calibrate(scores, scores[:, None], ("C1",), 0.001) == found  # the same scores, the same bytes


def test_recipe_chooses_quantile_or_tail() -> None:
    scores = np.random.default_rng(3).normal(size=80).astype(np.float32)
    beyond = calibrate(scores, scores[:, None], ("C1",), 0.001, method="quantile").part
    assert beyond.method == "highest"
    assert scores.max() < beyond.threshold < scores.max() + 0.1
    within = calibrate(scores, scores[:, None], ("C1",), 0.05, method="tail")
    assert within.part.method == "tail"
    assert within.note is None
    assert calibrate(scores, scores[:, None], ("C1",), 0.05).part.method == "quantile"


def test_tail_of_too_few_parts_is_refused_with_advice() -> None:
    scores = np.arange(39, dtype=np.float32)
    with pytest.raises(DataError, match=r"at least 40 normal parts .* use auto"):
        calibrate(scores, scores[:, None], ("C1",), 0.01, method="tail")


def test_tail_of_equal_scores_falls_back_to_the_highest() -> None:
    scores = np.repeat(np.array([0, 1], np.float32), [30, 30])
    assert calibrate(scores, scores[:, None], ("C1",), 0.001).part.method == "highest"
    with pytest.raises(DataError, match="use auto"):
        calibrate(scores, scores[:, None], ("C1",), 0.001, method="tail")


def test_rate_whose_threshold_is_the_median_is_refused() -> None:
    scores = np.repeat(np.array([0, 1], np.float32), [95, 5])
    with pytest.raises(DataError, match="is the median score"):
        calibrate(scores, scores[:, None], ("C1",), 0.2)


def test_every_allowed_set_of_missing_views_has_its_own_scale() -> None:
    ids = ("top", "left", "right")
    views = np.random.default_rng(4).normal([0, 10, 20], size=(50, 3)).astype(np.float32)
    missing = view_subsets(ids, 1)
    assert missing == [("top", "left"), ("top", "right"), ("left", "right")]
    scores = {present: views[:, [ids.index(view) for view in present]].mean(1) for present in missing}
    found = calibrate(views.mean(1), views, ids, 0.1, subsets=scores)
    assert subset_scale(found, ids) == found.part
    without_top = subset_scale(found, ["right", "left"])  # in any order
    assert without_top is not None
    assert without_top.centre == pytest.approx(15, abs=0.5)
    assert subset_scale(found, ["top"]) is None
    assert len(view_subsets(ids, 2)) == 6
    with pytest.raises(ConfigError, match="one must be left"):
        view_subsets(ids, 3)


def test_operating_curve_trades_recall_for_rejects() -> None:
    rng = np.random.default_rng(5)
    normal, defective = rng.normal(0, 1, 100), rng.normal(2, 1, 40)
    curve = operating_curve(normal.astype(np.float32), defective.astype(np.float32))
    assert len(curve) == 32
    assert curve[0].false_reject_rate == 0
    assert all(a.threshold > b.threshold and a.recall <= b.recall for a, b in itertools.pairwise(curve))
    middle = curve[10]
    assert middle.recall == pytest.approx((defective > middle.threshold).mean(), abs=1e-6)
    assert len(operating_curve(np.array([1.0, 2.0], np.float32), np.array([3.0], np.float32))) == 2
