"""The only geometry code: crop, mirror and resize, for training, calibration, verification and runtime."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeflow.contracts.images import Reading, RgbImage
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.errors import DataError

__all__ = ["blank_image", "prepare", "prepare_mask", "reading_of"]

_MEAN_COLOUR = (124, 116, 104)
"""ImageNet's mean, which normalisation turns into 0."""

P = TypeVar("P", np.uint8, np.bool_)


def reading_of(spec: Preprocessing) -> Reading:
    """Reading rules for a bundle's image files; older bundles refuse files that need a turn."""
    return Reading(bits=spec.bits, orientation=spec.orientation or "refused")


def prepare(image: RgbImage, view: ViewSpec, spec: Preprocessing) -> npt.NDArray[np.uint8]:
    """One camera image to one model image.

    Args:
        image: uint8 (H, W, 3), red first.

    Returns:
        uint8 (height, width, 3): cropped, mirrored, resized without keeping the aspect ratio by
        Pillow's antialiased bilinear filter, as the published pipeline does.

    Raises:
        DataError: not an RGB image, or smaller than the view's crop.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(f"view '{view.id}': expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    image = _crop_and_mirror(image, view)
    if image.shape[:2] == (spec.height, spec.width):
        return np.ascontiguousarray(image)
    resized = Image.fromarray(np.ascontiguousarray(image)).resize(
        (spec.width, spec.height), Image.Resampling.BILINEAR
    )
    return np.asarray(resized)


def blank_image(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Replacement of an absent view, uint8 (height, width, 3): the mean colour of ImageNet everywhere.

    At the model image's size this is the model image, at calibration as on the line. A camera image that is
    blank stays so in any crop, mirroring and size.
    """
    return np.full((height, width, 3), _MEAN_COLOUR, np.uint8)


def prepare_mask(mask: npt.NDArray[np.bool_], view: ViewSpec, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A defect mask (H, W) through the same geometry, resized to (height, width) by nearest neighbour."""
    mask = _crop_and_mirror(mask, view)
    image = Image.fromarray(mask.astype(np.uint8)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(image).astype(np.bool_)


def _crop_and_mirror(image: npt.NDArray[P], view: ViewSpec) -> npt.NDArray[P]:
    if view.crop is not None:
        x, y, width, height = view.crop
        if x + width > image.shape[1] or y + height > image.shape[0]:
            raise DataError(
                f"view '{view.id}': image {image.shape[1]}x{image.shape[0]} is smaller than the crop "
                f"{view.crop}; check the camera's resolution"
            )
        image = image[y : y + height, x : x + width]
    return image[:, ::-1] if view.mirror else image
