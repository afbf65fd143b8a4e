"""Geometry of views: pixels forward, boxes and maps back, and what is refused by name."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeflow.contracts.geometry.rectification import Rectification
from edgeflow.contracts.geometry.view_geometry import MEAN_COLOUR, ViewGeometry
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.preprocess import blank_image, prepare, prepare_mask
from edgeflow.errors import DataError

HEIGHT, WIDTH = 23, 31
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
SQUARE = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
TILTED = ((1.1, 0.1, -2.0), (-0.05, 0.95, 1.0), (0.002, -0.001, 1.0))


@st.composite
def views(draw: st.DrawFn) -> ViewSpec:
    """Views without resampling: any crop, turn, mirroring and padding."""
    crop = None
    if draw(st.booleans()):
        x, y = draw(st.integers(0, WIDTH - 1)), draw(st.integers(0, HEIGHT - 1))
        crop = (x, y, draw(st.integers(1, WIDTH - x)), draw(st.integers(1, HEIGHT - y)))
    return ViewSpec(
        id="top",
        crop=crop,
        turns=draw(st.sampled_from([0, 1, 2, 3])),
        mirror=draw(st.booleans()),
        letterbox=draw(st.one_of(st.none(), st.tuples(st.integers(1, 5), st.integers(1, 5)))),
    )


def seen_by(view: ViewSpec) -> tuple[slice, slice]:
    if view.crop is None:
        return slice(None), slice(None)
    x, y, width, height = view.crop
    return slice(y, y + height), slice(x, x + width)


@given(views())
def test_a_map_laid_back_on_the_camera_image_is_where_its_pixels_came_from(view: ViewSpec) -> None:
    geometry = ViewGeometry(view, (HEIGHT, WIDTH))
    arranged = geometry.image(IMAGE)
    assert arranged.shape[:2] == geometry.size
    laid = geometry.map_on_camera(arranged[..., 0].astype(np.float32))
    expected = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    expected[seen_by(view)] = IMAGE[seen_by(view)][..., 0]
    np.testing.assert_array_equal(laid, expected)


@given(views(), st.data())
def test_a_box_of_the_model_image_holds_the_same_pixels_on_the_camera_image(
    view: ViewSpec, data: st.DataObject
) -> None:
    geometry = ViewGeometry(view, (HEIGHT, WIDTH))
    rows, columns = seen_by(view)
    across, down = range(WIDTH)[columns], range(HEIGHT)[rows]
    x, y = data.draw(st.sampled_from(across)), data.draw(st.sampled_from(down))
    width, height = (data.draw(st.integers(1, s[-1] + 1 - at)) for s, at in ((across, x), (down, y)))
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[y : y + height, x : x + width] = True
    ys, xs = np.nonzero(geometry.mask(mask))
    box = (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1)
    assert geometry.box_on_camera(box, geometry.size) == (x, y, width, height)


@given(views())
def test_a_mask_goes_the_way_of_its_image(view: ViewSpec) -> None:
    mask = IMAGE[..., 1] > 100
    painted = np.where(mask[..., np.newaxis], np.uint8(255), np.uint8(0)).repeat(3, axis=2)
    geometry = ViewGeometry(view, (HEIGHT, WIDTH))
    np.testing.assert_array_equal(geometry.mask(mask), (geometry.image(painted) == 255).all(axis=2))


@given(views())
def test_a_blank_image_stays_blank(view: ViewSpec) -> None:
    spec = Preprocessing(height=12, width=17)
    shown = prepare(blank_image(HEIGHT, WIDTH), view, spec)
    np.testing.assert_array_equal(shown, blank_image(12, 17))


def test_the_order_is_crop_turn_mirror() -> None:
    view = ViewSpec(id="top", crop=(5, 7, 20, 11), turns=1, mirror=True)
    shown = prepare(IMAGE, view, Preprocessing(height=20, width=11))
    np.testing.assert_array_equal(shown, np.rot90(IMAGE[7:18, 5:25], -1)[:, ::-1])
    assert shown.flags.c_contiguous


def test_a_turn_goes_clockwise() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    image[0, 0] = 255  # top left comes to be top right
    shown = ViewGeometry(ViewSpec(id="top", turns=1), (4, 6)).image(image)
    assert shown.shape == (6, 4, 3)
    assert shown[0, -1].tolist() == [255, 255, 255]


def test_a_letterbox_keeps_the_aspect_ratio_between_bars_of_the_mean_colour() -> None:
    wide = np.full((20, 40, 3), 255, np.uint8)
    view = ViewSpec(id="top", letterbox=(16, 16))
    shown = prepare(wide, view, Preprocessing(height=16, width=16))
    assert (shown[:3] == MEAN_COLOUR).all()
    assert (shown[-3:] == MEAN_COLOUR).all()
    assert (shown[5:-5] == 255).all()
    # And a mask of another size has the same bars.
    np.testing.assert_array_equal(
        prepare_mask(np.ones((20, 40), np.bool_), view, (8, 8)),
        np.repeat(np.array([False, False, True, True, True, True, False, False])[:, np.newaxis], 8, axis=1),
    )


def test_a_box_in_the_padding_lies_nowhere_on_the_camera_image() -> None:
    geometry = ViewGeometry(ViewSpec(id="top", letterbox=(16, 16)), (20, 40))
    assert geometry.box_on_camera((0, 0, 16, 3), (16, 16)) is None
    assert geometry.box_on_camera((0, 0, 16, 8), (16, 16)) == (0, 0, 40, 10)


@pytest.mark.parametrize("homography", [SQUARE, TILTED])
def test_rectification_is_the_bilinear_sample_within_one_grey_level_of_its_rounded_place(
    homography: Any,
) -> None:
    plane = Rectification(homography=homography, width=25, height=19)
    found = plane.image(IMAGE, MEAN_COLOUR).astype(np.float64)
    back = np.linalg.inv(np.array(homography))
    for y, x in ((5, 5), (9, 17), (12, 3), (0, 20), (18, 24)):
        place = back @ (x, y, 1)
        u, v = np.round(place[:2] / place[2] * 32) / 32
        if not (0 <= u < WIDTH - 1 and 0 <= v < HEIGHT - 1):
            continue
        left, top = int(u), int(v)
        a, b = u - left, v - top
        four = IMAGE[top : top + 2, left : left + 2].astype(np.float64)
        weights = np.outer((1 - b, b), (1 - a, a))[..., np.newaxis]
        np.testing.assert_allclose(found[y, x], (four * weights).sum((0, 1)), atol=1.0)


def test_rectified_boxes_and_maps_come_back_to_the_camera_image() -> None:
    view = ViewSpec(id="top", rectify=Rectification(homography=TILTED, width=28, height=20), turns=3)
    geometry = ViewGeometry(view, (HEIGHT, WIDTH))
    spot = np.zeros((HEIGHT, WIDTH), np.bool_)
    spot[8:14, 10:18] = True
    seen = geometry.mask(spot)
    laid = geometry.map_on_camera(seen.astype(np.float32)) > 0
    # One pixel at the border may be rounded to either side, twice.
    assert np.logical_xor(laid, spot).sum() <= 28
    ys, xs = np.nonzero(seen)
    box = geometry.box_on_camera(
        (int(xs.min()), int(ys.min()), int(np.ptp(xs)) + 1, int(np.ptp(ys)) + 1), geometry.size
    )
    assert box is not None
    np.testing.assert_allclose(box, (10, 8, 8, 6), atol=3)


@pytest.mark.parametrize(
    "homography",
    [
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)),  # no inverse
        ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.1, 0.0, 1.0)),  # its horizon crosses the image
        ((1.0, 2.0, 0.0), (2.0, 4.0, 0.0), (0.0, 0.0, 1.0)),  # all on one line
    ],
)
def test_a_homography_that_folds_is_refused(homography: Any) -> None:
    with pytest.raises(ValidationError, match="homography: folds the image"):
        Rectification(homography=homography, width=100, height=100)


def test_a_homography_that_shows_the_back_is_refused() -> None:
    with pytest.raises(ValidationError, match="from behind; use mirror"):
        Rectification(homography=((-1.0, 0.0, 9.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), width=10, height=10)


@settings(max_examples=200)
@given(st.lists(st.floats(-2, 2), min_size=9, max_size=9))
def test_a_homography_that_is_taken_maps_every_neighbourhood_once(numbers: list[float]) -> None:
    rows: Any = tuple(tuple(numbers[at : at + 3]) for at in (0, 3, 6))
    try:
        plane = Rectification(homography=rows, width=8, height=8)
    except ValidationError:
        return
    back = np.linalg.inv(np.array(rows))
    corners = np.array([(x, y, 1.0) for x in (0, 7) for y in (0, 7)]) @ back.T
    assert (np.sign(corners[:, 2]) == np.sign(corners[0, 2])).all()
    assert plane.image(IMAGE, MEAN_COLOUR).shape == (8, 8, 3)


def test_a_plane_outside_the_image_is_refused() -> None:
    away = Rectification(homography=((1.0, 0.0, 500.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)), width=9, height=9)
    with pytest.raises(DataError, match=r"view 'top': the rectified plane lies outside the image of 31x23"):
        prepare(IMAGE, ViewSpec(id="top", rectify=away), Preprocessing(height=8, width=8))


def test_images_of_another_size_than_the_crop_was_made_for_are_refused() -> None:
    view = ViewSpec(id="top", crop=(0, 0, 8, 8), camera_size=(62, 46))
    with pytest.raises(DataError, match=r"'top': crop and rectification were made for images of 62x46, this"):
        prepare(IMAGE, view, Preprocessing(height=8, width=8))


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"camera_size": (31, 23)}, "camera's image of 31x23"),
        ({"rectify": Rectification(homography=SQUARE, width=30, height=30)}, "rectified image of 30x30"),
    ],
)
def test_a_crop_outside_the_image_is_refused_where_the_size_is_known(fields: Any, where: str) -> None:
    with pytest.raises(ValidationError, match=rf"'top': crop \[20, 0, 12, 5\] reaches outside the {where}"):
        ViewSpec(id="top", crop=(20, 0, 12, 5), **fields)


def test_a_view_without_geometry_is_written_as_ever() -> None:
    assert ViewSpec(id="top").model_dump(mode="json") == {"id": "top", "mirror": False, "crop": None}
    written = Preprocessing(height=8, width=8).model_dump(mode="json")
    assert set(written) == {"height", "width", "resize", "colour", "bits", "orientation"}


def test_geometry_is_told_in_words() -> None:
    view = ViewSpec(id="top", crop=(1, 2, 30, 20), turns=3, mirror=True, letterbox=(1, 1))
    assert view.described == "cropped to 30x20 at 1,2, turned 270°, mirrored, letterboxed"


RECTIFIED = """
import sys
import numpy as np
from edgeflow.contracts.geometry.rectification import Rectification
image = np.random.default_rng(0).integers(0, 256, (600, 800, 3), dtype=np.uint8)
tilted = (1.1, 0.1, -2.0), (-0.05, 0.95, 1.0), (2e-4, -1e-4, 1.0)
plane = Rectification(homography=tilted, width=700, height=500)
sys.stdout.buffer.write(plane.image(image, (124, 116, 104)).tobytes())
"""


def test_rectification_is_the_same_within_a_grey_level_without_wide_instructions() -> None:
    features = np._core._multiarray_umath  # type: ignore[attr-defined]
    dispatched = [name for name in features.__cpu_dispatch__ if features.__cpu_features__.get(name)]
    plain = {
        "NPY_DISABLE_CPU_FEATURES": " ".join(dispatched),
        "OPENCV_CPU_DISABLE": "SSE4.1,SSE4.2,AVX,FP16,AVX2,FMA3,AVX512-SKX,AVX512-ICL",
        "OPENCV_IPP": "disabled",
    }
    found = [
        np.frombuffer(
            subprocess.run(
                [sys.executable, "-W", "ignore", "-c", RECTIFIED],
                env=os.environ | extra,
                capture_output=True,
                check=True,
            ).stdout,
            np.uint8,
        )
        for extra in ({}, plain)
    ]
    assert found[0].size == 700 * 500 * 3
    assert np.abs(found[0].astype(int) - found[1].astype(int)).max() <= 1


def test_a_rectified_image_larger_than_any_camera_image_is_refused_before_it_takes_memory() -> None:
    with pytest.raises(ValidationError, match="30000x30000 has more pixels than the 64000000"):
        Rectification(homography=SQUARE, width=30_000, height=30_000)


def test_a_large_rectified_image_is_the_same_as_its_parts() -> None:
    """Places are computed in blocks of rows, which must not show."""
    tilted = ((1.1, 0.1, -2.0), (-0.05, 0.95, 1.0), (2e-5, -1e-5, 1.0))
    large = Rectification(homography=tilted, width=900, height=2_500)
    x, y = 700, 2_400
    shifted = tuple(
        tuple(float(value) for value in row)
        for row in np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]], np.float64) @ np.array(tilted)
    )
    corner = Rectification.model_validate({"homography": shifted, "width": 200, "height": 100})
    image = np.random.default_rng(1).integers(0, 256, (2_500, 1_000, 3), dtype=np.uint8)
    whole, part = large.image(image, MEAN_COLOUR), corner.image(image, MEAN_COLOUR)
    assert part.std() > 0
    differing = np.abs(whole[y:, x:].astype(int) - part.astype(int)).max(axis=2) > 0
    assert differing.mean() < 1e-3  # places are rounded to 1/32 pixel, of slightly different numbers


def test_a_letterbox_that_would_pad_without_end_is_refused() -> None:
    with pytest.raises(DataError, match=r"view 'top': the letterbox would pad its image to 31x31000000"):
        ViewGeometry(ViewSpec(id="top", letterbox=(1, 1_000_000)), (HEIGHT, WIDTH))


def test_a_model_image_larger_than_any_camera_image_is_refused() -> None:
    with pytest.raises(ValidationError, match="a model image of 100000x100000 has more pixels"):
        Preprocessing(height=100_000, width=100_000)
