"""Image files to RGB pixels: the only decoder, strict about size and truncation."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from edgeflow.errors import DataError

__all__ = ["MAX_PIXELS", "RgbImage", "decode_image", "image_size", "read_image"]

MAX_PIXELS = 64_000_000

# Only formats that Pillow decodes itself: for others it starts programs such as Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})

RgbImage = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), red first."""


def read_image(path: Path) -> RgbImage:
    """Decode one file to uint8 (H, W, 3), red first.

    Raises:
        DataError: missing, no image of a known format, truncated, or larger than ``MAX_PIXELS``.
    """
    try:
        data = path.read_bytes()
    except OSError as cause:
        raise _unreadable(path, cause) from cause
    return decode_image(data, what=str(path))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file in pixels, from its header alone.

    Raises:
        DataError: missing, no image of a known format, or larger than ``MAX_PIXELS``.
    """
    try:
        file = path.open("rb")
    except OSError as cause:
        raise _unreadable(path, cause) from cause
    with file, _opened(file, str(path)) as image:
        return image.height, image.width


def decode_image(data: bytes, *, what: str) -> RgbImage:
    """Decode an encoded image to uint8 (H, W, 3), red first; size is checked from the header first.

    Grey becomes three equal channels, of 16 bits the upper 8 are kept, transparency is dropped.

    Raises:
        DataError: no image of a known format, truncated, or larger than ``MAX_PIXELS``.
    """
    with _opened(io.BytesIO(data), what) as image:
        return _as_rgb(image, what)


@contextmanager
def _opened(file: BinaryIO, what: str) -> Iterator[Image.Image]:
    """An image whose size is known to be bearable; what goes wrong with it is named."""
    # No warnings.catch_warnings() here: cameras decode in threads, and it changes the whole process.
    try:
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(what, f"{width}x{height} pixels")
            yield image
    except UnidentifiedImageError as cause:
        raise DataError(f"{what}: not an image; replace it by one of {', '.join(_FORMATS)}") from cause
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as cause:
        raise _too_large(what, "far too many pixels") from cause
    except (OSError, ValueError, SyntaxError, EOFError, Warning) as cause:
        raise DataError(f"{what}: image is damaged: {cause}; replace the file") from cause


def _unreadable(path: Path, cause: OSError) -> DataError:
    return DataError(f"{path}: cannot be read: {cause.strerror}; check the path")


def _too_large(what: str, size: str) -> DataError:
    return DataError(f"{what}: {size}, more than the {MAX_PIXELS} allowed; use a smaller image")


def _as_rgb(image: Image.Image, what: str) -> RgbImage:
    # Pillow's own conversion of 16-bit grey would turn everything over 255 white.
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG"):
        grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        return np.repeat(grey[..., np.newaxis], 3, axis=2)
    if image.mode not in _MODES:
        raise DataError(f"{what}: pixels of kind {image.mode} cannot be used; save it as 8-bit RGB or grey")
    return np.asarray(image.convert("RGB"))
