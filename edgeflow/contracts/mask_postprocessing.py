"""The foreground mask steps that a graph cannot hold: from MVANet's logits to a mask of the feature map.

As published with Multi-Flow (arXiv 2504.03306), bit for bit. Masks are uint8 arrays of 0 (background) and 1.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.errors import DataError

__all__ = [
    "DILATION_SIZE",
    "MASK_SIZE",
    "Mask",
    "binarised",
    "dilated",
    "filled",
    "foreground_mask",
    "foreground_masks",
    "map_mask",
    "stored_mask",
]

Mask = npt.NDArray[np.uint8]

DILATION_SIZE = 8
# An even square has no middle: the published pipeline takes the pixel above and left of it.
DILATION_ANCHOR = (3, 3)
MASK_SIZE = 256


def foreground_masks(logits: npt.NDArray[np.float32], height: int, width: int) -> Mask:
    """Logits (V, H, W) of a part's views to their masks (V, height, width) at map size.

    Raises:
        DataError: not three axes, or a logit is not finite; the view is named by its index.
    """
    if logits.ndim != 3:
        raise DataError(f"foreground: expected logits (V, H, W), got {logits.shape}")
    bad = [index for index, view in enumerate(logits) if not np.isfinite(view).all()]
    if bad:
        raise DataError(f"foreground: logits of view {', '.join(map(str, bad))} are not finite")
    if not len(logits):
        return np.zeros((0, height, width), np.uint8)
    return np.stack([map_mask(foreground_mask(view), height, width) for view in logits])


def foreground_mask(logits: npt.NDArray[np.float32]) -> Mask:
    """Logits (H, W) of one view to its mask (256, 256)."""
    return stored_mask(dilated(filled(binarised(logits))))


def binarised(logits: npt.NDArray[np.float32]) -> Mask:
    """Logits (H, W) to a mask: the sigmoid, rounded half to even, so that exactly 0.5 is background."""
    # exp of minus the magnitude cannot overflow
    decay = np.exp(-np.abs(logits, dtype=np.float32))
    probability = np.where(logits >= 0, 1 / (1 + decay), decay / (1 + decay))
    return np.asarray(np.rint(probability), np.uint8)


def filled(mask: Mask) -> Mask:
    """A mask without holes: background that no 4-connected path links to the border becomes foreground."""
    # A frame of background links all background that touches the border.
    framed = np.pad(mask, 1)
    cv2.floodFill(framed, None, (0, 0), 2, flags=4)
    return np.asarray(framed[1:-1, 1:-1] != 2, np.uint8)


def dilated(mask: Mask) -> Mask:
    """A mask grown by an 8x8 square: 3 pixels to the right and down, 4 to the left and up."""
    square = np.ones((DILATION_SIZE, DILATION_SIZE), np.uint8)
    return np.asarray(cv2.dilate(mask, square, anchor=DILATION_ANCHOR), np.uint8)


def stored_mask(mask: Mask) -> Mask:
    """A mask at the size in which masks are kept, (256, 256), by nearest neighbour."""
    return np.asarray(cv2.resize(mask, (MASK_SIZE, MASK_SIZE), interpolation=cv2.INTER_NEAREST), np.uint8)


def map_mask(mask: Mask, height: int, width: int) -> Mask:
    """A mask at the size of the feature map, (height, width).

    Bilinear on 0 and 1, rounded: the published code means nearest neighbour, but passes the flag in the
    wrong place and gets OpenCV's default.
    """
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
