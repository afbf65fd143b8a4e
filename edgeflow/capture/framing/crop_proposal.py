"""A crop round the part that one image shows: what differs from the background at the image's border."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.contracts.geometry.view_spec import Crop
from edgeflow.contracts.images import RgbImage

__all__ = ["BORDER", "MARGIN", "CropProposal", "border_colour", "proposal_of", "propose_crop"]

MARGIN = 0.05
"""Space left round the part on each side, as a share of the crop's longer side."""

BORDER = "what differs from the image's border"
_SMALL = 512
"""Longer side of the image that is looked at, in pixels."""
_BORDER = 0.03
_CONTRAST = 12.0
"""Least difference of part and background, in grey levels: less is noise and shading."""
_SMALLEST, _LARGEST = 0.002, 0.9
"""Share of the image that a part covers."""
_NOT_WORTH = 0.85


@dataclass(frozen=True, kw_only=True)
class CropProposal:
    """A crop, or the reason why there is none.

    Attributes:
        crop: x, y, width, height in pixels of the image that was looked at.
        reason: why not, and what would help; empty where there is a crop.
        source: of what is taken for the part.
    """

    crop: Crop | None
    reason: str = ""
    source: str = BORDER


def propose_crop(image: RgbImage, *, margin: float = MARGIN) -> CropProposal:
    """Propose a crop round the part of an image, uint8 (H, W, 3).

    The background is the median colour of the image's border; the part is what differs from it, by Otsu's
    threshold. A part that lies elsewhere the next time needs more margin, or a look at several snapshots.

    Args:
        margin: space round the part, as a share of the crop's longer side.
    """
    height, width = image.shape[:2]
    scale = min(1.0, _SMALL / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_AREA), (5, 5), 0)
    part = _part(np.asarray(small, np.float32))
    if part is None:
        return CropProposal(
            crop=None, reason="nothing differs from the background; put a part before the camera"
        )
    share = float(part.mean())
    if not _SMALLEST <= share <= _LARGEST:
        what = "almost all" if share > _LARGEST else "hardly anything"
        return CropProposal(
            crop=None, reason=f"{what} differs from the image's border; set image.geometry by hand"
        )
    rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
    box = columns[0] / scale, rows[0] / scale, (columns[-1] + 1) / scale, (rows[-1] + 1) / scale
    return proposal_of(box, margin, (height, width), BORDER)


def proposal_of(
    box: tuple[float, float, float, float], margin: float, size: tuple[int, int], source: str
) -> CropProposal:
    """Propose the crop of a box (left, top, right, bottom) in an image (height, width), if it gains anything.

    Args:
        margin: see ``propose_crop``.
        source: of the box.
    """
    crop = _with_margin(box, margin, size)
    if crop[2] * crop[3] > _NOT_WORTH * size[0] * size[1]:
        reason = "the part fills the image; a crop would gain nothing"
        return CropProposal(crop=None, reason=reason, source=source)
    return CropProposal(crop=crop, source=source)


def border_colour(image: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The median colour (3,) of an image's border, which is taken for the background's."""
    height, width = image.shape[:2]
    deep = max(1, round(_BORDER * min(height, width)))
    frame = np.ones((height, width), np.bool_)
    frame[deep:-deep, deep:-deep] = False
    return np.asarray(np.median(image[frame], axis=0), np.float64)


def _part(image: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_] | None:
    """Pixels (h, w) that differ from the border's colour, without specks; None where none do."""
    difference = np.abs(image - border_colour(image)).max(axis=2)
    levels = np.rint(difference).astype(np.uint8)
    threshold, over = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    if threshold < _CONTRAST / 2 or not over.any() or difference[over > 0].mean() < _CONTRAST:
        return None
    opened = cv2.morphologyEx(over, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count < 2:
        return None
    # Bolts beside a plate belong to the part, dust does not.
    kept = [index + 1 for index, area in enumerate(areas) if area >= 0.02 * areas.max()]
    return np.isin(labels, kept)


def _with_margin(box: tuple[float, float, float, float], margin: float, size: tuple[int, int]) -> Crop:
    """The crop of a box (left, top, right, bottom) with space round it, within an image (height, width)."""
    left, top, right, bottom = box
    space = margin * max(right - left, bottom - top)
    x, y = max(0, int(left - space)), max(0, int(top - space))
    end_x, end_y = min(size[1], int(np.ceil(right + space))), min(size[0], int(np.ceil(bottom + space)))
    return x, y, end_x - x, end_y - y
