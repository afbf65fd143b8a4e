"""A plane's homography from one image of a ChArUco board that lies in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image
from pydantic import ValidationError

from edgeflow.contracts.documents.problems import first_problem
from edgeflow.contracts.geometry.rectification import Homography, Rectification
from edgeflow.contracts.images import MAX_PIXELS, RgbImage
from edgeflow.errors import DataError

__all__ = ["DICTIONARIES", "BoardSpec", "PlaneCalibration", "board_image", "calibrate_plane"]

DICTIONARIES = ("4X4_50", "5X5_100", "6X6_250", "7X7_1000")
"""ArUco's dictionaries that boards are commonly printed with."""

_LEAST_CORNERS = 8
_SMALLEST_SIDE = 16
_LARGEST_AREA = 4.0
"""Rectified image in units of the camera's image: a plane seen flatter than that is mostly interpolation."""

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class BoardSpec:
    """A printed ChArUco board.

    Attributes:
        columns, rows: squares across and down.
        square_mm, marker_mm: sides of a square and of the marker in it.
        dictionary: one of ``DICTIONARIES``.
    """

    columns: int
    rows: int
    square_mm: float
    marker_mm: float
    dictionary: str

    def board(self) -> Any:
        """OpenCV's board.

        Raises:
            DataError: no such board.
        """
        if min(self.columns, self.rows) < 3 or not 0 < self.marker_mm < self.square_mm:
            raise DataError(
                f"board of {self.columns}x{self.rows} squares of {self.square_mm:g} mm with markers of "
                f"{self.marker_mm:g} mm: at least 3x3 squares are needed, and markers smaller than squares"
            )
        named = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, f"DICT_{self.dictionary}"))
        if self.columns * self.rows // 2 > named.bytesList.shape[0]:
            raise DataError(f"board: the dictionary {self.dictionary} has too few markers; take a larger one")
        return cv2.aruco.CharucoBoard((self.columns, self.rows), self.square_mm, self.marker_mm, named)


@dataclass(frozen=True, kw_only=True)
class PlaneCalibration:
    """A plane as one camera sees it.

    Attributes:
        camera_size: width and height of the image.
        corners: of the board that were found.
        error_px, largest_error_px: root mean square and largest distance of the corners from a plane's, in
            pixels of the camera's image: what the lens bends.
        pixels_per_mm: of the rectified image.
    """

    rectification: Rectification
    camera_size: tuple[int, int]
    corners: int
    error_px: float
    largest_error_px: float
    pixels_per_mm: float


def board_image(spec: BoardSpec, pixels_per_mm: float) -> RgbImage:
    """The board for printing, uint8 (H, W, 3), with a margin of half a square.

    Raises:
        DataError: no such board, or more pixels than an image may have.
    """
    margin = round(spec.square_mm * pixels_per_mm / 2)
    size = [round(count * spec.square_mm * pixels_per_mm) + 2 * margin for count in (spec.columns, spec.rows)]
    if size[0] * size[1] > MAX_PIXELS:
        raise DataError(
            f"the board's picture would be {size[0]}x{size[1]}, more than the {MAX_PIXELS} pixels that an "
            "image may have; use fewer --pixels-per-mm"
        )
    grey = spec.board().generateImage(tuple(size), marginSize=margin, borderBits=1)
    return np.asarray(Image.fromarray(grey).convert("RGB"))


def calibrate_plane(
    image: RgbImage, spec: BoardSpec, *, whole: bool = True, pixels_per_mm: float | None = None
) -> PlaneCalibration:
    """Find the homography from a camera image (H, W, 3) to its board's plane, seen straight from the front.

    The board's rows come to lie level; the lens is taken to be free of distortion, and the error says how
    far that is true.

    Args:
        whole: the rectified image shows all that the camera's image does of the plane, else the board alone.
        pixels_per_mm: of the rectified image; default: the camera's, at the board.

    Raises:
        DataError: no such board, too few of its corners in the image, or a plane seen too flat.
    """
    seen, plane_mm = _corners(image, spec)
    to_plane, _ = cv2.findHomography(seen, plane_mm)
    if to_plane is None:
        raise DataError("the board's corners lie on one line; lay the board flat in the plane of the parts")
    errors = np.linalg.norm(_moved(np.linalg.inv(to_plane), plane_mm) - seen, axis=1)
    scale = pixels_per_mm or _density(seen, plane_mm)
    height, width = image.shape[:2]
    if whole:
        area = _image_on_plane(to_plane, (height, width))
    else:
        area = np.array([[0.0, 0.0], [spec.columns * spec.square_mm, spec.rows * spec.square_mm]])
    (left, top), (right, bottom) = area * scale
    size = int(np.ceil(right - left)), int(np.ceil(bottom - top))
    if size[0] * size[1] > _LARGEST_AREA * height * width:
        raise DataError(
            f"the rectified image would be {size[0]}x{size[1]} for a camera's image of {width}x{height}: the "
            "plane is seen too flat; use --area board, fewer --pixels-per-mm, or a steeper view"
        )
    if min(size) < _SMALLEST_SIDE:
        raise DataError(
            f"the rectified image would be {size[0]}x{size[1]}, in which nothing can be seen; use more "
            "--pixels-per-mm"
        )
    placed = np.array([[scale, 0, -left], [0, scale, -top], [0, 0, 1]]) @ to_plane
    try:
        rectification = Rectification(homography=_rows(placed / placed[2, 2]), width=size[0], height=size[1])
    except ValidationError as cause:
        raise DataError(f"calibration: {first_problem(cause)}") from cause
    return PlaneCalibration(
        rectification=rectification,
        camera_size=(width, height),
        corners=len(seen),
        error_px=float(np.sqrt(np.mean(errors**2))),
        largest_error_px=float(errors.max()),
        pixels_per_mm=float(scale),
    )


def _corners(image: RgbImage, spec: BoardSpec) -> tuple[Points, Points]:
    """Corners found in the image (N, 2), and where they lie on the board in mm."""
    board = spec.board()
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    corners, ids, _, markers = cv2.aruco.CharucoDetector(board).detectBoard(grey)
    found = 0 if ids is None else len(ids)
    if found < _LEAST_CORNERS:
        count = 0 if markers is None else len(markers)
        raise DataError(
            f"{found} corners of the board found ({count} markers), at least {_LEAST_CORNERS} are needed; "
            "check --squares and --dictionary, the light, and that the board is in the image and sharp"
        )
    places = np.asarray(board.getChessboardCorners(), np.float64)[np.asarray(ids).ravel(), :2]
    return np.asarray(corners, np.float64).reshape(-1, 2), places


def _image_on_plane(to_plane: Points, size: tuple[int, int]) -> Points:
    """Top left and bottom right, in mm, of what an image (height, width) shows of the plane."""
    corners = np.array([(x, y) for x in (-0.5, size[1] - 0.5) for y in (-0.5, size[0] - 0.5)])
    depths = corners @ to_plane[2, :2] + to_plane[2, 2]
    if not np.abs(depths).min() > 1e-3 * np.abs(depths).max() or len(set(np.sign(depths))) > 1:
        raise DataError("the plane's horizon is in the image; use --area board, or a steeper view")
    places = _moved(to_plane, corners)
    return np.stack([places.min(0), places.max(0)])


def _density(seen: Points, plane_mm: Points) -> float:
    """Pixels of the camera's image per mm at the board: by the areas of the corners' hulls."""
    pixels, mm = (cv2.contourArea(cv2.convexHull(points.astype(np.float32))) for points in (seen, plane_mm))
    return float(np.sqrt(pixels / mm))


def _moved(matrix: Points, points: Points) -> Points:
    moved = np.c_[points, np.ones(len(points))] @ matrix.T
    found: Points = moved[:, :2] / moved[:, 2:]
    return found


def _rows(matrix: Points) -> Homography:
    first, second, third = ((float(row[0]), float(row[1]), float(row[2])) for row in matrix)
    return first, second, third
