"""A rendered board under a known homography: the plane that is found is that one."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgeflow.capture.framing.charuco_board import BoardSpec, board_image, calibrate_plane
from edgeflow.contracts.geometry.view_geometry import MEAN_COLOUR
from edgeflow.contracts.images import RgbImage
from edgeflow.errors import DataError

BOARD = BoardSpec(columns=7, rows=5, square_mm=20.0, marker_mm=15.0, dictionary="5X5_100")
SCALE = 4.0
MARGIN = round(BOARD.square_mm * SCALE / 2)
SIZE = (800, 600)
# From pixels of the board's picture to pixels of the camera's, seen from the side and turned a little.
SEEN = np.array([[0.80, 0.16, 60.0], [-0.10, 0.75, 120.0], [0.00020, 0.00030, 1.0]])


@pytest.fixture(scope="module")
def camera_image() -> RgbImage:
    board = board_image(BOARD, SCALE)
    return np.asarray(
        cv2.warpPerspective(board, SEEN, SIZE, flags=cv2.INTER_AREA, borderValue=(255, 255, 255)), np.uint8
    )


def through(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    moved = np.c_[points, np.ones(len(points))] @ matrix.T
    return np.asarray(moved[:, :2] / moved[:, 2:])


@pytest.mark.parametrize("whole", [True, False])
def test_the_rectified_plane_is_the_board_at_its_scale_within_a_third_of_a_pixel(
    camera_image: RgbImage, whole: bool
) -> None:
    found = calibrate_plane(camera_image, BOARD, whole=whole, pixels_per_mm=3.0)
    assert (found.camera_size, found.pixels_per_mm, found.corners) == (SIZE, 3.0, 24)
    assert found.error_px < 0.3
    places_mm = np.array([(x, y) for x in (20.0, 70.0, 120.0) for y in (20.0, 50.0, 80.0)])
    on_board = places_mm * SCALE + MARGIN - 0.5
    rectified = through(np.array(found.rectification.homography), through(SEEN, on_board))
    # A scale and a shift and nothing else: squares are square again, and level.
    shift = rectified.mean(0) - places_mm.mean(0) * 3.0
    np.testing.assert_allclose(rectified, places_mm * 3.0 + shift, atol=0.34)
    if not whole:
        np.testing.assert_allclose(shift, (-0.5, -0.5), atol=0.6)
        assert (found.rectification.width, found.rectification.height) == (420, 300)


def test_the_rectified_image_shows_the_board_as_it_was_printed(camera_image: RgbImage) -> None:
    found = calibrate_plane(camera_image, BOARD, whole=False, pixels_per_mm=SCALE)
    shown = found.rectification.image(camera_image, MEAN_COLOUR).astype(np.float64)
    printed = board_image(BOARD, SCALE)[MARGIN:-MARGIN, MARGIN:-MARGIN].astype(np.float64)
    blurred = cv2.GaussianBlur(printed, (0, 0), 1.5)
    assert np.corrcoef(shown.ravel(), blurred.ravel())[0, 1] > 0.97


def test_the_default_scale_is_the_cameras(camera_image: RgbImage) -> None:
    found = calibrate_plane(camera_image, BOARD)
    assert 0.5 * SCALE < found.pixels_per_mm < SCALE


@pytest.mark.parametrize(
    ("board", "what"),
    [
        (replace(BOARD, dictionary="4X4_50"), "0 corners of the board found"),
        (replace(BOARD, columns=2), "at least 3x3"),
        (replace(BOARD, marker_mm=20.0), "markers smaller than squares"),
        (replace(BOARD, columns=12, rows=12, dictionary="4X4_50"), "too few markers"),
    ],
)
def test_a_board_that_is_not_there_or_cannot_be_is_refused(
    camera_image: RgbImage, board: BoardSpec, what: str
) -> None:
    with pytest.raises(DataError, match=what):
        calibrate_plane(camera_image, board)


def test_a_plane_that_would_be_blown_up_is_refused(camera_image: RgbImage) -> None:
    with pytest.raises(DataError, match="seen too flat; use --area board, fewer --pixels-per-mm"):
        calibrate_plane(camera_image, BOARD, pixels_per_mm=40.0)
