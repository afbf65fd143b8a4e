"""Drift of one view: none where nothing drifts, one before false rejects double, bounds without bias."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest

from benchmarks.score_drift import alarms_of, stable_scores
from edgeflow.monitoring.drift.view import ViewDrift, ViewScore

PARTS = 1000
BOUND = 0.3


def watched(scores: Iterable[ViewScore], calibration: int = 1) -> list[ViewDrift]:
    """The view after every part; by default of a bundle whose calibration says nothing."""
    view, states = ViewDrift(), []
    for number, score in enumerate(scores):
        at = f"2026-11-{1 + number // 86_400:02d}T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:00.000Z"
        view = view.added(score, at, bound=BOUND, parts=PARTS, calibration=calibration)
        states.append(view)
    return states


def exact(scores: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[ViewScore]:
    return [ViewScore(score, True, score) for score in scores.tolist()]


def first(states: list[ViewDrift]) -> int | None:
    return next((number for number, view in enumerate(states) if view.direction is not None), None)


def test_no_alarm_in_100_000_parts_that_do_not_drift_with_heavy_tails_and_correlated_neighbours() -> None:
    scores = stable_scores(100_000, 0.5, np.random.default_rng(5))
    assert alarms_of(scores[:, None], calibration=PARTS) == []


@pytest.mark.parametrize("way", [1, -1])
def test_a_slow_drift_is_found_before_it_is_half_a_standard_deviation(way: int) -> None:
    scores = np.random.default_rng(6).gumbel(0.3, 0.1, 12_000)
    drift = np.concatenate([np.zeros(2000), np.linspace(0, 1, 10_000)]) * 0.128 * way
    states = watched(exact(scores + drift))
    found = first(states)
    assert found is not None
    assert 2000 < found < 7000
    view = states[found]
    assert view.direction == ("up" if way > 0 else "down")
    assert 0.15 < view.chart.size < 1.0
    assert view.chart.since > "2026-11-01T00:20"


def test_false_rejects_have_not_doubled_when_the_alarm_comes() -> None:
    # Rejected beyond 1; the scale of such maxima makes twice as many of them at a shift of ln 2 times 0.1.
    rng = np.random.default_rng(7)
    scores = rng.gumbel(0.4, 0.1, 30_000) + np.maximum(0, np.arange(30_000) - 2000) * 0.1 / 28_000
    accepted = scores[scores <= 1.0]
    found = first(watched(exact(accepted)))
    assert found is not None
    assert accepted[found - 200 : found + 200].mean() - accepted[:2000].mean() < 0.1 * np.log(2)


def test_twenty_defects_in_a_row_that_were_accepted_raise_nothing() -> None:
    scores = np.random.default_rng(8).normal(0.3, 0.1, 3000)
    scores[2000:2020] = 0.99
    scores[2500:3000:40] = 0.99
    assert first(watched(exact(scores))) is None


def test_the_alarm_ends_when_the_scores_are_back_and_not_before() -> None:
    scores = np.random.default_rng(9).normal(0.3, 0.1, 8000)
    scores[2000:4000] += 0.05
    states = watched(exact(scores))
    standing = [number for number, view in enumerate(states) if view.direction == "up"]
    assert standing == list(range(standing[0], standing[-1] + 1))  # it does not come and go
    assert 2000 < standing[0] < 3200
    assert 4000 <= standing[-1] < 5500


def lazily_masked(scores: np.ndarray[tuple[int], np.dtype[np.float64]], asked_from: float) -> list[ViewScore]:
    """Scores of which the background makes the bound, and a mask is asked for where the bound is high."""
    rng = np.random.default_rng(10)
    bounds = np.maximum(scores, rng.normal(0.35, 0.1, len(scores)))
    return [
        ViewScore(score if bound > asked_from else bound, bound > asked_from, bound)
        for score, bound in zip(scores.tolist(), bounds.tolist(), strict=True)
    ]


@pytest.mark.parametrize("asked_from", [-9.0, 0.2, 0.45, 9.0])
def test_scores_that_are_only_bounds_make_no_drift_and_hide_none(asked_from: float) -> None:
    scores = np.random.default_rng(11).normal(0.4, 0.1, 14_000)
    stable = watched(lazily_masked(scores, asked_from))
    assert first(stable) is None
    assert stable[-1].unmasked == (asked_from > 0.3)
    scores[7000:] += 0.06
    states = watched(lazily_masked(scores, asked_from))
    found = first(states)
    assert found is not None
    assert 7000 < found < 8500
    assert states[-1].direction == "up"


def test_a_box_whose_parts_score_otherwise_than_at_calibration_says_so_from_the_beginning() -> None:
    scores = np.random.default_rng(12).normal(0.3, 0.2, PARTS)  # 0 is the median at calibration
    states = watched(exact(scores), calibration=200)
    assert first(states) == PARTS - 1
    assert states[-1].offset == pytest.approx(1.5, abs=0.2)
    assert first(watched(exact(scores), calibration=3)) is None  # of so few parts nothing is known


def test_scores_that_are_all_equal_are_no_drift() -> None:
    assert first(watched(exact(np.zeros(3000)))) is None
