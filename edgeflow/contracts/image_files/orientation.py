"""Turning and mirroring of pictures, in the eight forms that EXIF and TIFF number from 1 to 8."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import numpy.typing as npt

__all__ = ["UPRIGHT", "swaps_sides", "turned"]

UPRIGHT = 1
_SWAPPING = frozenset({5, 6, 7, 8})

P = TypeVar("P", np.uint8, np.uint16)


def swaps_sides(orientation: int) -> bool:
    """True if width and height change places."""
    return orientation in _SWAPPING


def turned(pixels: npt.NDArray[P], orientation: int) -> npt.NDArray[P]:
    """Pixels (H, W, …) as stored, to the way in which they are to be looked at.

    Args:
        orientation: EXIF's number; 1, and any that EXIF does not have, leave the pixels as they are.
    """
    if orientation in (5, 7):  # mirrored about a diagonal
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 7):
        pixels = pixels[::-1, ::-1]
    elif orientation == 2:
        pixels = pixels[:, ::-1]
    elif orientation == 4:
        pixels = pixels[::-1]
    elif orientation == 6:
        pixels = np.rot90(pixels, -1)
    elif orientation == 8:
        pixels = np.rot90(pixels)
    return np.ascontiguousarray(pixels)
