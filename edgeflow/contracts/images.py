"""Image files to RGB pixels: the only decoder, strict about size, truncation and depth."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from edgeflow.contracts.image_files.bit_depth import DEEPEST, DeepPixels, to_eight_bits
from edgeflow.contracts.image_files.header import ImageHeader, header_of, png_notes
from edgeflow.contracts.image_files.orientation import UPRIGHT, turned
from edgeflow.errors import DataError

__all__ = [
    "MAX_PIXELS",
    "Reading",
    "RgbImage",
    "brightest_value",
    "decode_image",
    "deep_values",
    "image_header",
    "image_size",
    "opened_image",
    "read_bytes",
    "read_image",
    "require_plain_tiff",
]

MAX_PIXELS = 64_000_000

# Only formats that Pillow decodes itself: for others it starts programs such as Ghostscript.
_FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # tags of TIFF, and the values that are refused
_PLANAR_CONFIGURATION, _SEPARATE_PLANES = 284, 2
_MODES = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})

RgbImage = npt.NDArray[np.uint8]
"""uint8 (H, W, 3), red first."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Rules from image files to pixels: one for all files of a data set, recorded in its bundle.

    Attributes:
        bits: significant bits of files with room for more than 8; None: all 16. Files of 8 bits are taken
            as they are: they hold what the camera's driver or ``edgeflow record`` converted already.
        orientation: ``followed``: turned as the file says (EXIF, XMP, TIFF's tag). ``ignored``: as stored.
            ``refused``: a file that is to be turned is an error. TIFF is turned in all three.
    """

    bits: int | None = None
    orientation: Literal["followed", "ignored", "refused"] = "followed"


_AS_THE_FILE_SAYS = Reading()


def read_image(path: Path, reading: Reading = _AS_THE_FILE_SAYS) -> RgbImage:
    """Decode one file to uint8 (H, W, 3), red first.

    Raises:
        DataError: missing, no image of a known format, truncated, larger than ``MAX_PIXELS``, or not as
            ``reading`` says.
    """
    return decode_image(read_bytes(path), what=str(path), reading=reading)


def read_bytes(path: Path) -> bytes:
    """A whole image file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as cause:
        raise _unreadable(path, cause) from cause


def image_header(path: Path) -> ImageHeader:
    """Properties that an image file declares.

    Raises:
        DataError: missing, no image of a known format, or larger than ``MAX_PIXELS``.
    """
    try:
        file = path.open("rb")
    except OSError as cause:
        raise _unreadable(path, cause) from cause
    with file, opened_image(file, str(path)) as (_, header):
        return header


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of an image file in pixels, as it is to be looked at, from its header alone.

    Raises:
        DataError: see ``image_header``.
    """
    header = image_header(path)
    return header.height, header.width


def decode_image(data: bytes, *, what: str, reading: Reading = _AS_THE_FILE_SAYS) -> RgbImage:
    """Decode an encoded image to uint8 (H, W, 3), red first; size is checked from the header first.

    Grey becomes three equal channels, transparency is dropped; see ``Reading`` for depth and orientation.

    Raises:
        DataError: see ``read_image``.
    """
    with opened_image(io.BytesIO(data), what) as (image, header):
        must_turn = header.orientation != UPRIGHT and not header.turned_by_decoder
        if must_turn and reading.orientation == "refused":
            raise DataError(
                f"{what}: is to be turned (EXIF orientation {header.orientation}), which edgeflow did not do "
                "when this bundle was made; export the bundle again, or save the image upright"
            )
        pixels = _as_rgb(image, header, data, what, reading)
    return turned(pixels, header.orientation) if must_turn and reading.orientation == "followed" else pixels


def brightest_value(path: Path) -> int:
    """The highest value of an image file, at its full depth.

    Raises:
        DataError: see ``read_image``.
    """
    data = read_bytes(path)
    with opened_image(io.BytesIO(data), str(path)) as (image, header):
        values = deep_values(image, data, str(path)) if header.is_deep else np.asarray(image.convert("RGB"))
        return int(values.max(initial=0))


@contextmanager
def opened_image(file: BinaryIO, what: str) -> Iterator[tuple[Image.Image, ImageHeader]]:
    """An image whose size is known to be bearable, with its header; what goes wrong with it is named."""
    # No warnings.catch_warnings() here: cameras decode in threads, and it changes the whole process.
    try:
        notes = png_notes(file)
        with Image.open(file, formats=_FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _too_large(what, f"{width}x{height} pixels")
            yield image, header_of(image, notes)
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


def _as_rgb(image: Image.Image, header: ImageHeader, data: bytes, what: str, reading: Reading) -> RgbImage:
    if not header.is_deep or not _is_usable(image):
        declared = reading.bits or DEEPEST
        if image.mode not in _MODES or (header.is_deep and declared != DEEPEST):
            raise DataError(
                f"{what}: pixels of kind {image.mode} cannot be used; save it as 8-bit RGB or grey"
            )
        return np.asarray(image.convert("RGB"))
    try:
        pixels = to_eight_bits(deep_values(image, data, what), reading.bits or DEEPEST)
    except ValueError as cause:
        raise DataError(
            f"{what}: {cause}; declare the depth that the files have as image.bits in the recipe (16 where "
            "values are shifted up), and export with it"
        ) from cause
    return np.repeat(pixels[..., np.newaxis], 3, axis=2) if pixels.ndim == 2 else pixels


def _is_usable(image: Image.Image) -> bool:
    """True if deep pixels have a plain meaning: grey or RGB, no floating point, no other colour space."""
    return image.mode.startswith("I;16") or image.mode in ("RGB", "RGBA", "RGBX", "LA")


def deep_values(image: Image.Image, data: bytes, what: str) -> DeepPixels:
    """Values of a deep image, uint16 (H, W) or (H, W, 3) red first, as they are stored.

    Raises:
        DataError: truncated, or neither grey nor RGB.
    """
    require_plain_tiff(image, what)
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)
    image.load()  # Pillow keeps 8 bits of deep colour, but tells a truncated file
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        raise DataError(f"{what}: pixels of this depth cannot be used; save it as 8-bit RGB or 16-bit grey")
    return np.ascontiguousarray(values[..., 2::-1])


def require_plain_tiff(image: Image.Image, what: str) -> None:
    """Check that a deep image is in no form of TIFF that decoders read wrongly without a word.

    Raises:
        DataError: white is 0, or each channel is stored by itself.
    """
    if image.format != "TIFF":
        return
    tags = image.tag_v2  # type: ignore[attr-defined]
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise DataError(f"{what}: 0 is white in this TIFF of more than 8 bits; save it with 0 as black")
    if tags.get(_PLANAR_CONFIGURATION) == _SEPARATE_PLANES:
        raise DataError(
            f"{what}: stores red, green and blue one after the other, which is not read at more than 8 bits; "
            "save it with interleaved channels (planar configuration 1)"
        )
