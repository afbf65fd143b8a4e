"""A camera's image to the model's: one code for training, calibration, verification and the box."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeflow.contracts.geometry.view_geometry import MEAN_COLOUR, ViewGeometry
from edgeflow.contracts.images import Reading, RgbImage
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.errors import DataError

__all__ = ["blank_image", "prepare", "prepare_mask", "reading_of"]


def reading_of(spec: Preprocessing) -> Reading:
    """Reading rules for a bundle's image files; older bundles refuse files that need a turn."""
    return Reading(bits=spec.bits, orientation=spec.orientation or "refused")


def prepare(image: RgbImage, view: ViewSpec, spec: Preprocessing) -> npt.NDArray[np.uint8]:
    """One camera image to one model image.

    Args:
        image: uint8 (H, W, 3), red first.

    Returns:
        uint8 (height, width, 3): rectified, cropped, turned, mirrored and padded as the view says, then
        resized by Pillow's antialiased bilinear filter, as the published pipeline does.

    Raises:
        DataError: not an RGB image, or not one that the view's geometry was made for.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise DataError(f"view '{view.id}': expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
    image = ViewGeometry(view, (image.shape[0], image.shape[1])).image(image)
    if image.shape[:2] == (spec.height, spec.width):
        return np.ascontiguousarray(image)
    resized = Image.fromarray(np.ascontiguousarray(image)).resize(
        (spec.width, spec.height), Image.Resampling.BILINEAR
    )
    return np.asarray(resized)


def blank_image(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Replacement of an absent view, uint8 (height, width, 3): the mean colour of ImageNet everywhere.

    At the model image's size this is the model image, at calibration as on the line. A camera image that is
    blank stays so under any geometry: what no camera saw has this colour.
    """
    return np.full((height, width, 3), MEAN_COLOUR, np.uint8)


def prepare_mask(mask: npt.NDArray[np.bool_], view: ViewSpec, size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """A defect mask (H, W) through the same geometry, resized to (height, width) by nearest neighbour."""
    mask = ViewGeometry(view, (mask.shape[0], mask.shape[1])).mask(mask)
    image = Image.fromarray(mask.astype(np.uint8)).resize((size[1], size[0]), Image.Resampling.NEAREST)
    return np.asarray(image).astype(np.bool_)
