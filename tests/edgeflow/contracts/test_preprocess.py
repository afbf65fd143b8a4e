"""Crop, mirror and resize: the published geometry, the same everywhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import prepare, prepare_mask
from edgeflow.errors import DataError

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
SIZE = Preprocessing(height=16, width=24)


def pillow(image: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(("height", "width"), [(16, 24), (33, 7), (80, 120), (40, 61), (1, 1)])
def test_resizing_is_pillows_antialiased_bilinear(height: int, width: int) -> None:
    result = prepare(IMAGE, ViewSpec(id="top"), Preprocessing(height=height, width=width))
    assert result.shape == (height, width, 3)
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, pillow(IMAGE, width, height))


def test_an_image_of_the_right_size_is_not_touched() -> None:
    result = prepare(IMAGE, ViewSpec(id="top"), Preprocessing(height=40, width=60))
    np.testing.assert_array_equal(result, IMAGE)


def test_a_mirrored_view_is_flipped_left_to_right() -> None:
    result = prepare(IMAGE, ViewSpec(id="top", mirror=True), Preprocessing(height=40, width=60))
    np.testing.assert_array_equal(result, IMAGE[:, ::-1])
    assert result.flags.c_contiguous
    small = prepare(IMAGE, ViewSpec(id="top", mirror=True), SIZE)
    np.testing.assert_array_equal(small, pillow(np.ascontiguousarray(IMAGE[:, ::-1]), 24, 16))


def test_a_crop_is_given_as_x_y_width_height_and_comes_before_the_mirror() -> None:
    view = ViewSpec(id="top", crop=(5, 7, 30, 20), mirror=True)
    result = prepare(IMAGE, view, Preprocessing(height=20, width=30))
    np.testing.assert_array_equal(result, IMAGE[7:27, 5:35][:, ::-1])


def test_a_crop_up_to_the_edge_is_taken() -> None:
    view = ViewSpec(id="top", crop=(0, 0, 60, 40))
    np.testing.assert_array_equal(prepare(IMAGE, view, SIZE), pillow(IMAGE, 24, 16))


@pytest.mark.parametrize("crop", [(0, 0, 61, 40), (0, 0, 60, 41), (31, 0, 30, 20), (60, 40, 1, 1)])
def test_a_crop_beyond_the_image_names_view_and_sizes(crop: tuple[int, int, int, int]) -> None:
    with pytest.raises(DataError, match=r"view 'top': image 60x40 is smaller than the crop .*resolution"):
        prepare(IMAGE, ViewSpec(id="top", crop=crop), SIZE)


@pytest.mark.parametrize("shape", [(40, 60), (40, 60, 1), (40, 60, 4), (0, 60, 3)])
def test_what_is_not_an_rgb_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"view 'top': expected uint8 \(H, W, 3\), got"):
        prepare(np.zeros(shape, np.uint8), ViewSpec(id="top"), SIZE)


def test_another_type_than_uint8_is_refused() -> None:
    with pytest.raises(DataError, match="float64"):
        prepare(np.zeros((40, 60, 3)), ViewSpec(id="top"), SIZE)  # type: ignore[arg-type]


def test_the_given_image_is_never_changed() -> None:
    image = IMAGE.copy()
    image.flags.writeable = False
    prepare(image, ViewSpec(id="top", crop=(1, 1, 20, 20), mirror=True), SIZE)


def test_a_defect_mask_goes_the_same_way_and_stays_binary() -> None:
    mask = np.zeros((40, 60), np.bool_)
    mask[10:20, 6:20] = True
    view = ViewSpec(id="top", crop=(0, 0, 60, 40), mirror=True)
    result = prepare_mask(mask, view, (20, 30))
    assert result.dtype == np.bool_
    expected = np.zeros((20, 30), np.bool_)
    expected[5:10, 20:27] = True
    np.testing.assert_array_equal(result, expected)
