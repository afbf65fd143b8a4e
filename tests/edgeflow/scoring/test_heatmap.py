"""Heat overlays are comparable between parts; regions are the pixels over the threshold, boxed."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow.contracts.manifest import Scale
from edgeflow.scoring.heatmap import MAX_REGIONS, find_regions, heat_overlay

SCALE = Scale(centre=2.0, threshold=4.0)
GREY = np.full((32, 48, 3), 128, np.uint8)


def colour_of(score: float, scale: Scale = SCALE) -> list[int]:
    """The overlay's colour where the whole map has one value."""
    overlay = heat_overlay(GREY, np.full((4, 6), score, np.float32), scale)
    assert (overlay == overlay[0, 0]).all()
    return [int(channel) for channel in overlay[0, 0]]


def test_the_overlay_has_the_size_of_the_image() -> None:
    overlay = heat_overlay(GREY, np.zeros((5, 7), np.float32), SCALE)
    assert overlay.shape == GREY.shape
    assert overlay.dtype == np.uint8


def test_the_threshold_has_one_colour_whatever_its_value() -> None:
    other = Scale(centre=-10.0, threshold=90.0)
    assert colour_of(4.0) == colour_of(90.0, other)
    assert colour_of(4.0) != colour_of(3.0)


def test_a_hot_spot_elsewhere_does_not_change_the_colour_of_a_normal_pixel() -> None:
    calm = np.full((8, 8), 2.0, np.float32)
    hot = calm.copy()
    hot[0, 0] = 1000.0
    image = np.full((64, 64, 3), 100, np.uint8)
    assert (heat_overlay(image, hot, SCALE)[-1, -1] == heat_overlay(image, calm, SCALE)[-1, -1]).all()


def test_normal_is_blue_and_far_over_the_threshold_is_red() -> None:
    normal, far = colour_of(2.5), colour_of(7.5)
    assert normal[2] > normal[0]
    assert far[0] > far[2]


def test_scores_beyond_the_scale_keep_its_end_colours() -> None:
    assert colour_of(1e9) == colour_of(6.0)
    assert colour_of(-1e9) == colour_of(2.0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_a_number_never_looks_normal(value: float) -> None:
    assert colour_of(value) == colour_of(6.0)


def test_the_hot_spot_lies_where_the_map_has_it() -> None:
    anomaly_map = np.full((8, 12), 2.0, np.float32)
    anomaly_map[6, 2] = 6.0
    overlay = heat_overlay(GREY, anomaly_map, SCALE).astype(int)
    y, x = np.unravel_index(overlay[:, :, 0].argmax(), overlay.shape[:2])
    assert 24 <= y < 28
    assert 8 <= x < 12


def test_a_map_under_the_threshold_has_no_regions() -> None:
    assert find_regions(np.full((4, 4), 4.0, np.float32), 4.0, (64, 64)) == ()


def test_regions_are_boxes_in_image_pixels_highest_first() -> None:
    anomaly_map = np.zeros((4, 8), np.float32)
    anomaly_map[0, 0:2] = 5.0
    anomaly_map[2:4, 6] = [8.0, 7.0]
    high, low = find_regions(anomaly_map, 4.0, (64, 128))
    assert (high.x, high.y, high.width, high.height, high.score_raw) == (96, 32, 16, 32, 8.0)
    assert (low.x, low.y, low.width, low.height, low.score_raw) == (0, 0, 32, 16, 5.0)


def test_diagonal_neighbours_are_one_region() -> None:
    anomaly_map = np.zeros((4, 4), np.float32)
    anomaly_map[1, 1] = anomaly_map[2, 2] = 5.0
    assert len(find_regions(anomaly_map, 4.0, (4, 4))) == 1


def test_boxes_stay_inside_an_image_that_the_map_does_not_divide() -> None:
    anomaly_map = np.full((7, 7), 5.0, np.float32)
    (box,) = find_regions(anomaly_map, 4.0, (100, 90))
    assert (box.x, box.y, box.width, box.height) == (0, 0, 90, 100)


def test_only_the_highest_regions_are_kept() -> None:
    anomaly_map = np.zeros((20, 20), np.float32)
    anomaly_map[::2, ::2] = np.arange(100, dtype=np.float32).reshape(10, 10) + 5.0
    regions = find_regions(anomaly_map, 4.0, (20, 20))
    assert [region.score_raw for region in regions] == [104.0 - n for n in range(MAX_REGIONS)]


def test_values_that_are_not_finite_are_in_no_region() -> None:
    anomaly_map = np.array([[np.nan, 0.0, np.inf, 0.0, 5.0]], np.float32)
    (box,) = find_regions(anomaly_map, 4.0, (1, 5))
    assert (box.x, box.score_raw) == (4, 5.0)
