"""Anomaly maps to scores: against the plainest possible way to compute them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeflow.contracts.manifest import Scale, Scoring
from edgeflow.contracts.scoring import (
    PixelStatistics,
    ViewScale,
    masked,
    part_score,
    scaled,
    smoothed,
    standardise,
    view_scores,
)

MAPS = np.random.default_rng(0).normal(size=(3, 5, 7)).astype(np.float32)  # negative values included


def pixels(view: int) -> list[float]:
    return sorted((float(value) for value in MAPS[view].flatten()), reverse=True)


@pytest.mark.parametrize(
    ("scoring", "count"),
    [(Scoring(), 1), (Scoring(view="mean"), 35), (Scoring(view="top_k", top_k=1), 1),
     (Scoring(view="top_k", top_k=4), 4), (Scoring(view="top_k", top_k=35), 35),
     (Scoring(view="top_k", top_k=1000), 35), (Scoring(view="top_k", top_share=0.1), 4),
     (Scoring(view="top_k", top_share=0.001), 1), (Scoring(view="top_k", top_share=0.99), 35)],
)  # fmt: skip
def test_a_view_score_is_the_mean_of_the_highest_pixels(scoring: Scoring, count: int) -> None:
    scores = view_scores(MAPS, scoring)
    assert scores.dtype == np.float32
    expected = [sum(pixels(view)[:count]) / count for view in range(3)]
    np.testing.assert_allclose(scores, expected, rtol=1e-6, atol=1e-7)


def test_a_part_score_is_the_mean_or_the_maximum_of_its_views() -> None:
    views = np.asarray([1.0, 4.0, -2.0], np.float32)
    assert float(part_score(views, Scoring())) == 1.0
    assert float(part_score(views, Scoring(part="max"))) == 4.0


@pytest.mark.parametrize("scoring", [Scoring(), Scoring(view="mean"), Scoring(view="top_k", top_k=3)])
def test_many_parts_at_once_give_the_same_as_one_by_one(scoring: Scoring) -> None:
    parts = np.stack([MAPS, MAPS * 2, MAPS - 1])
    together = view_scores(parts, scoring)
    np.testing.assert_array_equal(together, np.stack([view_scores(part, scoring) for part in parts]))
    np.testing.assert_array_equal(
        part_score(together, scoring), np.stack([part_score(views, scoring) for views in together])
    )


@pytest.mark.parametrize("scoring", [Scoring(), Scoring(view="mean"), Scoring(view="top_k", top_k=3)])
def test_one_pixel_that_is_not_a_number_is_never_averaged_away(scoring: Scoring) -> None:
    maps = MAPS.copy()
    maps[1, 2, 3] = np.nan
    scores = view_scores(maps, scoring)
    assert list(np.isnan(scores)) == [False, True, False]
    assert np.isnan(part_score(scores, scoring))


def test_statistics_turn_maps_into_deviations_from_normal() -> None:
    statistics = PixelStatistics(
        mean=np.full((3, 5, 7), 2, np.float32), std=np.full((3, 5, 7), 4, np.float32)
    )
    result = standardise(MAPS, statistics)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, (MAPS - 2) / 4, rtol=1e-6)
    assert standardise(MAPS, None) is MAPS


def test_scaled_is_zero_at_the_centre_one_at_the_threshold_and_never_clamped() -> None:
    scale = Scale(centre=2.0, threshold=4.0)
    assert [scaled(raw, scale) for raw in (2.0, 3.0, 4.0, 10.0, 0.0)] == [0.0, 0.5, 1.0, 4.0, -1.0]


@settings(deadline=None)
@given(
    centre=st.floats(-1e6, 1e6), width=st.floats(1e-3, 1e6), a=st.floats(-1e6, 1e6), b=st.floats(-1e6, 1e6)
)
def test_scaling_keeps_the_order_of_scores_and_the_verdict(
    centre: float, width: float, a: float, b: float
) -> None:
    scale = Scale(centre=centre, threshold=centre + width)
    low, high = sorted((a, b))
    assert scaled(low, scale) <= scaled(high, scale)
    assert scaled(scale.threshold, scale) == 1.0
    if low > scale.threshold:
        assert scaled(low, scale) >= 1.0


@pytest.mark.parametrize("side", [14, 28])
def test_a_share_means_the_same_at_every_map_size(side: int) -> None:
    maps = np.zeros((1, side, side), np.float32)
    maps[0, : side // 7] = 1  # a seventh of the map
    assert float(view_scores(maps, Scoring(view="top_k", top_share=0.14))[0]) == 1.0
    assert float(view_scores(maps, Scoring(view="top_k", top_share=0.29))[0]) == pytest.approx(0.5, abs=0.02)


def test_a_number_and_a_share_of_pixels_exclude_each_other() -> None:
    for fields in ({"top_k": 3, "top_share": 0.1}, {}):
        with pytest.raises(ValueError, match="goes with view: top_k"):
            Scoring.model_validate({"view": "top_k", **fields})
    with pytest.raises(ValueError, match="goes with view: top_k"):
        Scoring(view="max", top_share=0.1)


def blurred(values: list[list[float]], weights: dict[int, float]) -> list[list[float]]:
    """The plainest blur: every pixel from its neighbours, the outermost ones repeated."""
    rows, columns = len(values), len(values[0])

    def at(row: int, column: int) -> float:
        return values[min(max(row, 0), rows - 1)][min(max(column, 0), columns - 1)]

    return [
        [
            sum(a * b * at(row + i, column + j) for i, a in weights.items() for j, b in weights.items())
            for column in range(columns)
        ]
        for row in range(rows)
    ]


@pytest.mark.parametrize("blur", ["mean_2x2", "gaussian"])
def test_blur_takes_a_pixel_and_its_neighbours(blur: str) -> None:
    bell = {place: np.exp(-(place**2) / (2 * 0.8**2)) for place in range(-2, 3)}
    total = sum(bell.values())
    weights = {
        "mean_2x2": {0: 0.5, 1: 0.5},
        "gaussian": {place: weight / total for place, weight in bell.items()},
    }[blur]
    scoring = Scoring.model_validate({"blur": blur})
    found = smoothed(MAPS, scoring)
    assert found.shape == MAPS.shape
    assert found.dtype == np.float32
    expected = [blurred(view.tolist(), weights) for view in MAPS]
    np.testing.assert_allclose(found, expected, atol=1e-4)
    np.testing.assert_allclose(view_scores(MAPS, scoring), np.max(expected, (1, 2)), atol=1e-4)
    assert smoothed(MAPS, Scoring()) is MAPS
    np.testing.assert_allclose(smoothed(np.ones((1, 4, 4), np.float32), scoring), 1.0, atol=1e-6)


@pytest.mark.parametrize("blur", ["mean_2x2", "gaussian"])
def test_background_never_reaches_the_part_through_the_blur(blur: str) -> None:
    maps, masks = np.zeros((1, 6, 6), np.float32), np.ones((1, 6, 6), np.uint8)
    maps[0, :, 3:], masks[0, :, 3:] = 100.0, 0
    assert float(view_scores(masked(maps, masks), Scoring.model_validate({"blur": blur}))[0]) == 0.0


def test_views_on_one_scale_make_the_part_score() -> None:
    views = np.asarray([[1.0, 4.0], [3.0, 4.5]], np.float32)
    scales = (ViewScale(gain=1.0, offset=0.0), ViewScale(gain=0.5, offset=-1.0))
    scoring = Scoring(part="max", view_scales=scales)
    np.testing.assert_allclose(part_score(views, scoring), [1.0, 3.0])
    np.testing.assert_allclose(part_score(views, scoring.model_copy(update={"part": "mean"})), [1.0, 2.125])
    np.testing.assert_allclose(part_score(views[:, 1:], scoring.only([1])), [1.0, 1.25])
    assert Scoring().only([1]) == Scoring()
    assert (scoring.sensitivity, scoring.only([1]).sensitivity, Scoring().sensitivity) == (1.0, 1.0, 1.0)
    steep = Scoring(view_scales=(ViewScale(gain=1.5, offset=0.0),))
    assert steep.sensitivity == 1.5


def test_rules_say_how_a_map_is_blurred() -> None:
    assert (
        Scoring(blur="mean_2x2").pooled == "the highest pixel of the map blurred by the mean of 2 by 2 pixels"
    )
    assert Scoring().pooled == "the highest pixel"
