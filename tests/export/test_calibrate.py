"""Thresholds from normal parts."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.errors import DataError
from edgeflow_export.calibrate import calibrate, threshold_of


def test_new_normal_parts_are_rejected_at_most_at_the_rate() -> None:
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(300):
        scores = rng.gamma(2.0, size=199).astype(np.float32)
        threshold = threshold_of(scores, 0.05)
        rates.append(float((rng.gamma(2.0, size=2000) > threshold).mean()))
    assert np.mean(rates) == pytest.approx(0.05, abs=0.003)  # exact in expectation, for any distribution


def test_small_sample_takes_the_highest_score_and_says_so() -> None:
    scores = np.arange(10, dtype=np.float32)
    found = calibrate(scores, scores[:, None], ("C1",), 0.01)
    assert found.part.threshold == 9
    assert found.note is not None
    assert "10 normal parts" in found.note


def test_large_sample_needs_no_note() -> None:
    scores = np.arange(200, dtype=np.float32)
    assert calibrate(scores, scores[:, None], ("C1",), 0.01).note is None


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
