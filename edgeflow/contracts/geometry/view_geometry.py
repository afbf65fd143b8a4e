"""The geometry of one view for camera images of one size: pixels forward, boxes and maps back."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.geometry.view_spec import ViewSpec
from edgeflow.contracts.images import MAX_PIXELS, RgbImage
from edgeflow.errors import DataError

__all__ = ["MEAN_COLOUR", "Box", "ViewGeometry"]

MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean, which normalisation turns into 0: the colour of what no camera saw."""

Box: TypeAlias = tuple[int, int, int, int]
"""x, y, width, height in pixels."""
Matrix: TypeAlias = npt.NDArray[np.float64]
Size: TypeAlias = tuple[int, int]
"""Height and width in pixels."""

_ROUNDING = 1e-6
_MOST_PADDED = 4 * MAX_PIXELS
"""Of an image with its padding; a manifest may name any proportions."""


@dataclass(frozen=True)
class ViewGeometry:
    """A view's geometry for camera images of one size.

    Args:
        view: from recipe or manifest.
        camera: height and width of the camera's image.

    Raises:
        DataError: the crop reaches outside the image, crop and rectification were made for images of
            another size, or the padding would be far larger than the image.
    """

    view: ViewSpec
    camera: Size

    def __post_init__(self) -> None:
        view, (height, width) = self.view, self.camera
        if view.camera_size is not None and view.camera_size != (width, height):
            made_for = f"{view.camera_size[0]}x{view.camera_size[1]}"
            raise DataError(
                f"view '{view.id}': crop and rectification were made for images of {made_for}, this one is "
                f"{width}x{height}; set the camera's resolution to {made_for}, or train with images as they "
                "are now and a geometry made for them"
            )
        if view.crop is not None and view.rectify is None:
            x, y, across, down = view.crop
            if x + across > width or y + down > height:
                raise DataError(
                    f"view '{view.id}': image {width}x{height} is smaller than the crop "
                    f"{view.crop}; check the camera's resolution"
                )
        padded_height, padded_width = self.size
        if padded_height * padded_width > _MOST_PADDED:
            raise DataError(
                f"view '{view.id}': the letterbox would pad its image to {padded_width}x{padded_height}; "
                "take fit: stretch, or a model image of about the view's proportions"
            )

    def image(self, pixels: RgbImage) -> RgbImage:
        """A camera image (H, W, 3) up to the resize, (h, w, 3); may share memory with it."""
        view = self.view
        if view.rectify is not None:
            self._require_sight()
            pixels = view.rectify.image(pixels, MEAN_COLOUR)
        pixels = pixels[self._cropped()]
        if view.turns:
            pixels = np.rot90(pixels, -view.turns)
        if view.mirror:
            pixels = pixels[:, ::-1]
        if self.size == pixels.shape[:2]:
            return pixels
        (height, width), (top, left) = pixels.shape[:2], self._offset()
        padded = np.full((*self.size, 3), MEAN_COLOUR, np.uint8)
        padded[top : top + height, left : left + width] = pixels
        return padded

    def mask(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """A mask (H, W) of the camera's image up to the resize, (h, w); False outside of the image."""
        view = self.view
        if view.rectify is not None:
            mask = view.rectify.mask(mask)
        mask = mask[self._cropped()]
        if view.turns:
            mask = np.rot90(mask, -view.turns)
        if view.mirror:
            mask = mask[:, ::-1]
        if self.size == mask.shape:
            return mask
        (height, width), (top, left) = mask.shape, self._offset()
        padded = np.zeros(self.size, np.bool_)
        padded[top : top + height, left : left + width] = mask
        return padded

    @property
    def size(self) -> Size:
        """Height and width before the resize."""
        height, width = self._content()
        if self.view.letterbox is None:
            return height, width
        across, down = self.view.letterbox
        return max(height, -(-width * down // across)), max(width, -(-height * across // down))

    def to_camera(self, size: Size) -> Matrix:
        """The matrix (3, 3) from places in an image or map of this size to places in the camera's image.

        Places are counted from the top left corner of the first pixel, whose centre is (0.5, 0.5).

        Args:
            size: height and width of the model image, or of a map of it.
        """
        view = self.view
        (height, width), (content_height, content_width) = self.size, self._content()
        top, left = self._offset()
        back = np.diag([width / size[1], height / size[0], 1.0])
        back = _shift(-left, -top) @ back
        if view.mirror:
            back = np.array([[-1.0, 0, content_width], [0, 1, 0], [0, 0, 1]]) @ back
        across, down = content_width, content_height
        for _ in range(view.turns):  # one turn back: left is what was below
            back = np.array([[0.0, 1, 0], [-1, 0, across], [0, 0, 1]]) @ back
            across, down = down, across
        if view.crop is not None:
            back = _shift(view.crop[0], view.crop[1]) @ back
        if view.rectify is not None:  # whose whole numbers are the centres of pixels
            homography = np.linalg.inv(np.array(view.rectify.homography, np.float64))
            back = _shift(0.5, 0.5) @ homography @ _shift(-0.5, -0.5) @ back
        return back

    def box_on_camera(self, box: Box, size: Size) -> Box | None:
        """The box on the camera's image that holds a box of the model image; None where it saw nothing.

        Args:
            size: height and width of the model image.
        """
        x, y, width, height = box
        corners = [(x + across, y + down) for across in (0, width) for down in (0, height)]
        places = _moved(self.to_camera(size), np.array(corners, np.float64))
        (left, top), (right, bottom) = places.min(0) + _ROUNDING, places.max(0) - _ROUNDING
        first = max(0, floor(left)), max(0, floor(top))
        last = min(self.camera[1], ceil(right)), min(self.camera[0], ceil(bottom))
        if last[0] <= first[0] or last[1] <= first[1]:
            return None
        return first[0], first[1], last[0] - first[0], last[1] - first[1]

    def map_on_camera(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A map (h, w) of the model image laid on the camera's image (H, W); NaN where nothing was seen."""
        size: Size = (values.shape[0], values.shape[1])
        forward = np.linalg.inv(self.to_camera(size))
        rows, columns = np.indices(self.camera, np.float64) + 0.5
        across, down, depth = (row[0] * columns + row[1] * rows + row[2] for row in forward)
        centre = forward[2] @ _centre(self.to_camera(size), size)
        seen = depth * centre > 0  # beyond the horizon lies another image of the plane
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = across / depth, down / depth
        for place, (low, high) in zip((y, x), self.content_within(size), strict=True):
            seen &= (place > low - _ROUNDING) & (place < high + _ROUNDING)
        laid = np.full(self.camera, np.nan, np.float32)
        column = np.clip(np.floor(x[seen] + _ROUNDING).astype(np.int64), 0, size[1] - 1)
        row = np.clip(np.floor(y[seen] + _ROUNDING).astype(np.int64), 0, size[0] - 1)
        laid[seen] = values[row, column]
        return laid

    def content_within(self, size: Size) -> tuple[tuple[float, float], ...]:
        """First and last place along rows and columns of a map that is no padding."""
        return tuple(
            (before * given / padded, (before + length) * given / padded)
            for before, length, given, padded in zip(
                self._offset(), self._content(), size, self.size, strict=True
            )
        )

    def _require_sight(self) -> None:
        if self.view.rectify is not None and not self.view.rectify.sees(*self.camera):
            raise DataError(
                f"view '{self.view.id}': the rectified plane lies outside the image of "
                f"{self.camera[1]}x{self.camera[0]}; calibrate the camera again"
            )

    def _cropped(self) -> tuple[slice, slice]:
        if self.view.crop is None:
            return slice(None), slice(None)
        x, y, width, height = self.view.crop
        return slice(y, y + height), slice(x, x + width)

    def _content(self) -> Size:
        """Height and width of what the camera saw, before the padding."""
        view, (height, width) = self.view, self.camera
        if view.rectify is not None:
            height, width = view.rectify.height, view.rectify.width
        if view.crop is not None:
            width, height = view.crop[2:]
        return (width, height) if view.turns % 2 else (height, width)

    def _offset(self) -> Size:
        """Rows above and columns before what the camera saw."""
        (height, width), (content_height, content_width) = self.size, self._content()
        return (height - content_height) // 2, (width - content_width) // 2


def _shift(x: float, y: float) -> Matrix:
    return np.array([[1.0, 0, x], [0, 1, y], [0, 0, 1]])


def _moved(matrix: Matrix, places: Matrix) -> Matrix:
    """Places (N, 2) through a matrix (3, 3)."""
    moved = np.c_[places, np.ones(len(places))] @ matrix.T
    found: Matrix = moved[:, :2] / moved[:, 2:]
    return found


def _centre(matrix: Matrix, size: Size) -> Matrix:
    """The place (3,) on the camera's image of the middle of a map, with a third coordinate of 1."""
    return np.append(_moved(matrix, np.array([[size[1] / 2, size[0] / 2]]))[0], 1.0)
