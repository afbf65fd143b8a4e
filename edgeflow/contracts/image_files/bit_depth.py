"""Pixel values of more than 8 bits to uint8: one conversion for image files and for cameras."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["DEEPEST", "SHALLOWEST", "to_eight_bits"]

SHALLOWEST = 8
DEEPEST = 16

DeepPixels = npt.NDArray[np.uint16]
"""Values as the sensor gave them, uint16 of any shape."""


def to_eight_bits(values: DeepPixels, bits: int) -> npt.NDArray[np.uint8]:
    """The upper 8 of the significant bits.

    Args:
        bits: how many bits are significant, 8 to 16.

    Raises:
        ValueError: a value needs more bits than declared.
    """
    highest = int(values.max(initial=0))
    if highest >> bits:
        raise ValueError(f"value {highest} is above {2**bits - 1}, the highest of {bits} bits")
    return np.asarray(values >> np.uint16(bits - SHALLOWEST), np.uint8)
