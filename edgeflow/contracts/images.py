"""Image files to RGB pixels: the only decoder, strict about size and truncation."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from edgeflow.errors import DataError

__all__ = ["MAX_PIXELS", "RgbImage", "decode_image", "read_image"]

MAX_PIXELS = 64_000_000

RgbImage = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), red first."""


def read_image(path: Path) -> RgbImage:
    """Decode one file to uint8 (H, W, 3), red first.

    Raises:
        DataError: missing, no image, truncated, or larger than ``MAX_PIXELS``.
    """
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise DataError(f"{path}: cannot be read: {cause.strerror}; check the path") from cause
    return decode_image(data, what=str(path))


def decode_image(data: bytes, *, what: str) -> RgbImage:
    """Decode an encoded image to uint8 (H, W, 3), red first; size is checked from the header first.

    Raises:
        DataError: no image, truncated, or larger than ``MAX_PIXELS``.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with Image.open(io.BytesIO(data)) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise DataError(f"{what}: {width}x{height} pixels, more than {MAX_PIXELS} allowed")
                return np.asarray(image.convert("RGB"))
    except UnidentifiedImageError as cause:
        raise DataError(f"{what}: not an image that can be decoded; replace the file") from cause
    except (OSError, ValueError, SyntaxError, Warning, Image.DecompressionBombError) as cause:
        raise DataError(f"{what}: image is damaged: {cause}; replace the file") from cause
