"""Masks asked for one by one: never another verdict than with all of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    ViewScale,
    masked,
    part_score,
    view_bounds,
    view_scores,
)
from edgeflow.scoring.lazy_masks import score_with_all_masks, score_with_lazy_masks

SHAPE = (3, 4, 4)
SCORINGS = [
    Scoring(view=view, top_k=5 if view == "top_k" else None, part=part)
    for view in ("max", "mean", "top_k")
    for part in ("mean", "max")
]
SCALES = tuple(ViewScale(gain=gain, offset=offset) for gain, offset in ((0.7, 1.3), (1.1, -0.4), (1.9, 0.05)))
SCORINGS += [
    Scoring(view=view, top_k=3 if view == "top_k" else None, part=part, blur=blur, view_scales=scales)
    for view in ("max", "top_k")
    for part in ("mean", "max")
    for blur, scales in (("mean_2x2", None), ("gaussian", None), (None, SCALES), ("gaussian", SCALES))
]
values = st.floats(-8, 8, width=32)
maps_of = arrays(np.float32, SHAPE, elements=values)
masks_of = arrays(np.uint8, SHAPE, elements=st.integers(0, 1))


def never(lowest: float, highest: float) -> bool:
    return False


def over(threshold: float) -> Callable[[float, float], bool]:
    return lambda lowest, highest: highest <= threshold or lowest > threshold


@settings(max_examples=150, deadline=None)
@given(maps=maps_of, masks=masks_of, threshold=values, scoring=st.sampled_from(SCORINGS))
def test_verdict_is_that_of_all_masks(
    maps: FloatArray, masks: Masks, threshold: float, scoring: Scoring
) -> None:
    whole = score_with_lazy_masks(maps, scoring, lambda view: masks[view], never)
    lazy = score_with_lazy_masks(maps, scoring, lambda view: masks[view], over(threshold))
    together = score_with_all_masks(maps, scoring, masks)
    np.testing.assert_array_equal(together.maps, whole.maps)
    np.testing.assert_array_equal(together.views, whole.views)
    assert (together.part, together.lowest, together.highest) == (whole.part, whole.lowest, whole.highest)
    assert set(together.empty) == set(whole.empty)
    assert set(together.asked) == set(whole.asked)
    views = view_scores(masked(maps, masks), scoring)
    assert whole.asked == tuple(np.argsort(-view_bounds(maps, scoring)[1], kind="stable"))
    np.testing.assert_array_equal(whole.views, views)
    assert whole.part == float(part_score(views, scoring))
    assert lazy.lowest <= whole.part <= lazy.highest
    assert np.array_equal(lazy.unmasked, view_bounds(maps, scoring)[1])  # asked for or not
    if not whole.empty:
        assert (lazy.part > threshold) == (whole.part > threshold)
    # A view without foreground is counted by its bounds: it can neither acquit nor convict.
    assert (lazy.highest <= threshold) == (whole.highest <= threshold)


@given(maps=maps_of, masks=masks_of, scoring=st.sampled_from(SCORINGS))
def test_no_masks_lead_out_of_the_bounds(maps: FloatArray, masks: Masks, scoring: Scoring) -> None:
    low, high = view_bounds(maps, scoring)
    views = view_scores(masked(maps, masks), scoring)
    assert (low <= views).all()
    assert (views <= high).all()


def test_part_that_is_normal_without_masks_asks_for_none_and_a_rejected_one_stops_when_settled() -> None:
    scoring = Scoring(view="max", part="max")
    maps = np.zeros(SHAPE, np.float32)
    maps[0, 1, 1], maps[1, 1, 1], maps[2, 1, 1] = 3, 9, 6
    masks = np.ones(SHAPE, np.uint8)
    asked: list[int] = []

    def mask_of(view: int) -> Masks:
        asked.append(view)
        return masks[view]

    assert score_with_lazy_masks(maps, scoring, mask_of, over(9.0)).asked == ()
    assert score_with_lazy_masks(maps, scoring, mask_of, over(8.0)).asked == (1,)
    masks[1] = 0
    masks[1, 0, 0] = 1  # the anomaly lies in the background, so that the next view decides
    assert score_with_lazy_masks(maps, scoring, mask_of, over(5.0)).asked == (1, 2)
    assert asked == [1, 1, 2]


def test_view_without_any_foreground_is_named_and_keeps_its_bounds() -> None:
    maps = np.full(SHAPE, 2.0, np.float32)
    masks = np.ones(SHAPE, np.uint8)
    masks[1] = 0
    settled = score_with_lazy_masks(maps, Scoring(view="max", part="max"), lambda view: masks[view], never)
    assert settled.empty == (1,)
    assert settled.views.tolist() == [2.0, 0.0, 2.0]
    assert (settled.lowest, settled.highest) == (2.0, 2.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_pixel_does_not_vanish_in_the_background(value: float) -> None:
    maps = np.zeros(SHAPE, np.float32)
    maps[0, 0, 0] = value
    assert not np.isfinite(masked(maps, np.zeros(SHAPE, np.uint8))).all()
