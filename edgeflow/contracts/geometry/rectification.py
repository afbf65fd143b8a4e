"""A view seen straight from the front: a plane's homography, and images resampled by it."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Annotated, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.images import MAX_PIXELS
from edgeflow.contracts.thresholds import Positive

__all__ = ["LARGEST_SIDE", "Homography", "Rectification", "adjugate"]

LARGEST_SIDE = 32_766
"""Pixels of an image's side that OpenCV's fixed-point coordinates can name."""

Row: TypeAlias = tuple[float, float, float]
Homography: TypeAlias = tuple[Row, Row, Row]
"""Three rows of three numbers; pixel centres are whole numbers, as OpenCV has it."""

_STEPS = 32
"""Positions between two pixels: OpenCV's table of weights has so many."""
_BLOCK_PIXELS = 1 << 20
"""Of the rectified image, whose places are computed at once."""


class Rectification(Document):
    """A plane in the scene, seen straight from the front.

    The homography takes a pixel (x, y, 1) of the camera's image to one of the rectified image, which is
    ``width`` by ``height`` pixels; ``edgeflow cameras calibrate`` finds it from a ChArUco board.
    """

    homography: Homography = Field(description="three rows of three numbers: camera pixel to rectified pixel")
    width: Annotated[Positive, Field(le=LARGEST_SIDE)] = Field(
        description="of the rectified image, in pixels"
    )
    height: Annotated[Positive, Field(le=LARGEST_SIDE)] = Field(
        description="of the rectified image, in pixels"
    )

    @model_validator(mode="after")
    def _does_not_fold(self) -> Rectification:
        """Refuse a homography whose horizon crosses the rectified image, or that shows its back."""
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(
                f"a rectified image of {self.width}x{self.height} has more pixels than the {MAX_PIXELS} that "
                "an image may have; take a smaller one, as with --pixels-per-mm or --area board of 'edgeflow "
                "cameras calibrate'"
            )
        back = adjugate(self.homography)
        corners = [(x - 0.5, y - 0.5) for x in (0, self.width) for y in (0, self.height)]
        depths = [back[2][0] * x + back[2][1] * y + back[2][2] for x, y in corners]
        lengths = math.prod(math.hypot(*row) for row in self.homography)
        singular = not abs(_determinant(self.homography)) > 1e-12 * lengths
        largest = max(map(abs, depths))
        if singular or not min(map(abs, depths)) > 1e-6 * largest or len({depth > 0 for depth in depths}) > 1:
            raise ValueError(
                "homography: folds the image (its horizon crosses the rectified image, or it has no "
                "inverse); take the points anew, in one order round the plane"
            )
        # The inverse's sign of area; its scale is that of the adjugate.
        if not _determinant(back) * depths[0] > 0:
            raise ValueError("homography: shows the plane from behind; use mirror to flip a view")
        return self

    def image(self, pixels: npt.NDArray[np.uint8], fill: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """The rectified image (height, width, ...) of uint8 pixels (H, W, ...), between pixels bilinear.

        Positions are rounded to 1/32 pixel in double precision and everything after that is integer
        arithmetic, so that processors agree.

        Args:
            fill: value outside the camera's image.
        """
        whole, between = _table(self.homography, self.width, self.height)
        return np.asarray(
            cv2.remap(
                pixels, whole, between, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
            ),
            np.uint8,
        )

    def mask(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """The rectified mask (height, width) of a mask (H, W): the nearest pixel's, False outside."""
        whole, between = _table(self.homography, self.width, self.height)
        x = whole[..., 0].astype(np.int32) + ((between % _STEPS) >= _STEPS // 2)
        y = whole[..., 1].astype(np.int32) + ((between // _STEPS) >= _STEPS // 2)
        inside = (x >= 0) & (y >= 0) & (x < mask.shape[1]) & (y < mask.shape[0])
        found = np.zeros((self.height, self.width), np.bool_)
        found[inside] = mask[y[inside], x[inside]]
        return found

    def sees(self, height: int, width: int) -> bool:
        """True if any pixel of the rectified image lies within a camera image of this size."""
        whole, _ = _table(self.homography, self.width, self.height)
        x, y = whole[..., 0], whole[..., 1]
        return bool(((x >= 0) & (y >= 0) & (x < width) & (y < height)).any())


def adjugate(matrix: Homography) -> Homography:
    """The inverse of a matrix, up to a factor: by products alone, so that processors agree.

    The adjugate of a singular matrix is one too.
    """
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return (
        (e * i - f * h, c * h - b * i, b * f - c * e),
        (f * g - d * i, a * i - c * g, c * d - a * f),
        (d * h - e * g, b * g - a * h, a * e - b * d),
    )


def _determinant(matrix: Homography) -> float:
    (a, b, c), (d, e, f), (g, h, i) = matrix
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


@lru_cache(maxsize=16)
def _table(
    homography: Homography, width: int, height: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Each rectified pixel's place in the camera's image: whole pixels (h, w, 2), and 1/32 pixels (h, w).

    The second holds 32 times the row's fraction plus the column's, in steps of 1/32.
    """
    whole = np.empty((height, width, 2), np.int16)
    between = np.empty((height, width), np.uint16)
    block = max(1, _BLOCK_PIXELS // width)
    for top in range(0, height, block):
        rows = slice(top, min(height, top + block))
        whole[rows], between[rows] = _rows_of_table(homography, width, rows)
    whole.flags.writeable = between.flags.writeable = False
    return whole, between


def _rows_of_table(
    homography: Homography, width: int, rows: slice
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.uint16]]:
    """Some rows of :func:`_table`: the double precision on the way there is ten times as large."""
    back = adjugate(homography)
    x = np.arange(width, dtype=np.float64)[np.newaxis, :]
    y = np.arange(rows.start, rows.stop, dtype=np.float64)[:, np.newaxis]
    across, down, depth = (row[0] * x + (row[1] * y + row[2]) for row in back)
    far = float(LARGEST_SIDE)
    steps = [np.rint(np.clip(place / depth, -far, far) * _STEPS).astype(np.int32) for place in (across, down)]
    whole = np.stack([step // _STEPS for step in steps], axis=-1).astype(np.int16)
    between = (steps[1] % _STEPS * _STEPS + steps[0] % _STEPS).astype(np.uint16)
    return whole, between
