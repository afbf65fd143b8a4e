"""Shares of rejected parts, and what so few parts can prove."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.calibration.detection_rates import (
    Rate,
    binomial,
    false_rejects,
    keep_scores,
    needed_parts,
    recall,
    shortcomings,
)
from edgeflow.calibration.thresholds import calibrate
from edgeflow.contracts.manifest import Thresholds


def thresholds(
    count: int, rate: float, *, defective: list[float] | None = None, normal: list[float] | None = None
) -> Thresholds:
    scores = np.linspace(0, 1, count, dtype=np.float32)
    return calibrate(
        scores,
        scores[:, None],
        ("C1",),
        rate,
        method="quantile",
        defective=None if defective is None else np.array(defective, np.float32),
        normal=None if normal is None else np.array(normal, np.float32),
    )


def test_bounds_are_those_of_clopper_and_pearson() -> None:
    assert Rate(rejected=0, parts=25).upper == pytest.approx(1 - 0.05 ** (1 / 25))
    assert Rate(rejected=25, parts=25).lower == pytest.approx(0.05 ** (1 / 25))
    assert Rate(rejected=3, parts=10).lower == pytest.approx(0.08726, abs=1e-4)
    assert Rate(rejected=3, parts=10).upper == pytest.approx(0.60662, abs=1e-4)


@given(parts=st.integers(1, 60), data=st.data())
def test_bounds_hold_the_share_between_them(parts: int, data: st.DataObject) -> None:
    rate = Rate(rejected=data.draw(st.integers(0, parts)), parts=parts)
    assert 0 <= rate.lower <= rate.share <= rate.upper <= 1
    if rate.rejected > 0:
        tail = binomial(parts, rate.lower)[rate.rejected :].sum()
        assert tail == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize(("rate", "parts"), [(0.01, 99), (0.05, 19), (0.001, 999), (0.3, 3)])
def test_parts_that_a_rate_needs(rate: float, parts: int) -> None:
    assert needed_parts(rate) == parts
    assert not any("too few" in text for text in shortcomings(thresholds(max(parts, 3), rate)))


def test_too_few_parts_are_told_with_the_number_that_it_takes() -> None:
    (text,) = shortcomings(thresholds(98, 0.01))
    assert "98 held-out normal parts are too few" in text
    assert "at least 99" in text


def test_useless_recall_is_told() -> None:
    found = thresholds(19, 0.05, defective=[0.1] * 25)
    assert recall(found) == Rate(rejected=0, parts=25)
    (text,) = shortcomings(found)
    assert "it rejects only 0 of 25 (0.0%)" in text
    assert "less than 11%" in text
    assert shortcomings(found, min_recall=0.1) == ()


def test_few_defective_parts_prove_no_low_recall() -> None:
    assert shortcomings(thresholds(19, 0.05, defective=[0.1, 0.1, 0.1, 9.0])) == ()


def test_too_many_false_rejects_are_told() -> None:
    found = thresholds(19, 0.05, normal=[0.1] * 10 + [5.0] * 10)
    assert false_rejects(found) == Rate(rejected=10, parts=20)
    (text,) = shortcomings(found)
    assert "rejects 10 of 20 (50.0%) of the normal test parts" in text


def test_nothing_is_known_without_labelled_parts() -> None:
    found = thresholds(19, 0.05)
    assert found.labelled is None
    assert (recall(found), false_rejects(found), shortcomings(found)) == (None, None, ())


def test_of_many_scores_enough_are_kept_to_count_with() -> None:
    scores = np.linspace(0, 1, 5000, dtype=np.float32)
    kept = keep_scores(scores, scores)
    assert len(kept.defective) == 1000
    assert (kept.defective[0], kept.defective[-1]) == (0.0, 1.0)
    found = thresholds(19, 0.05).model_copy(update={"labelled": kept})
    rate = recall(found, at=0.7)
    assert rate is not None
    assert rate.parts == 5000
    assert rate.share == pytest.approx(0.3, abs=0.002)
