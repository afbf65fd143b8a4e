"""Mask files as drawing tools write them, to True and False; what could mean two things is refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from edgeflow.contracts.image_files.orientation import UPRIGHT, turned
from edgeflow.contracts.images import opened_image, read_bytes, require_plain_tiff
from edgeflow.errors import DataError

__all__ = ["Mask", "read_mask"]

Mask = npt.NDArray[np.bool_]
"""(H, W), True where it is marked."""

_HALF = 128
_CLEARLY_WHITE = 192


def read_mask(path: Path) -> Mask:
    """One mask, turned as the file says.

    A pixel is marked where it is not black: 1, 255 or a label's number, in grey, in colour or by a palette,
    of any depth. With transparency, a marked pixel is neither black nor transparent. JPEG and lossy WebP
    blur edges: there half of white decides.

    Raises:
        DataError: no image, several pictures in one file, or a mask that could mean two things.
    """
    data = read_bytes(path)
    with opened_image(io.BytesIO(data), str(path)) as (image, header):
        if getattr(image, "n_frames", 1) > 1:
            raise _refused(path, "holds several pictures")
        if header.is_deep:
            require_plain_tiff(image, f"mask {path}")
        marked = _marked(image, data, path, deep=header.is_deep)
    if header.orientation == UPRIGHT or header.turned_by_decoder:
        return marked
    return turned(marked.astype(np.uint8), header.orientation).astype(np.bool_)


def _marked(image: Image.Image, data: bytes, path: Path, *, deep: bool) -> Mask:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _by_value(np.asarray(image), path)
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"):
        raise _refused(path, f"has pixels of kind {image.mode}")
    image.load()  # tells a truncated file
    if deep:
        return _of_deep_colour(data, path)
    least = _HALF if _is_lossy(image, data) else 1
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        pixels = np.asarray(image.convert("RGBA"))
        return _visible(pixels[..., :3].max(axis=2), pixels[..., 3], least, path)
    values = np.asarray(image.convert("RGB")).max(axis=2)
    _require_telling_palette(values, image, path)
    if least == _HALF:
        _require_clear(values, path)
    return np.asarray(values >= least)


def _by_value(values: npt.NDArray[Any], path: Path) -> Mask:
    """Grey of more than 8 bits."""
    if not np.isfinite(values.astype(np.float64)).all() or (values.astype(np.float64) < 0).any():
        raise _refused(path, "holds negative values or values that are not finite")
    return values.astype(np.float64) > 0


def _of_deep_colour(data: bytes, path: Path) -> Mask:
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 3:
        raise _refused(path, "has a depth that cannot be read")
    if values.shape[2] == 4:
        return _visible(values[..., :3].max(axis=2), values[..., 3], 1, path)
    return np.asarray(values.max(axis=2) > 0)


def _visible(colour: npt.NDArray[Any], alpha: npt.NDArray[Any], least: int, path: Path) -> Mask:
    """Painted pixels of a mask file; a file whose colour and transparency disagree is refused."""
    if not (alpha >= least).any():
        if (colour >= least).any():
            raise _refused(path, "is transparent everywhere, though its colours are not black everywhere")
        return np.zeros(colour.shape, np.bool_)
    if not (colour >= least).any() and (alpha < least).any():
        raise _refused(path, "is black everywhere and transparent in places")
    return np.asarray((colour >= least) & (alpha >= least))


def _require_telling_palette(values: npt.NDArray[np.uint8], image: Image.Image, path: Path) -> None:
    """A palette may give any colour to the number 0; without a black one nobody knows the background."""
    if image.mode != "P" or len(image.getcolors() or ()) < 2:
        return
    if (values > 0).all():
        raise _refused(path, "has a palette without black, so that no colour is the background")
    if not values.any():
        raise _refused(path, "has several numbers that its palette all shows as black")


def _require_clear(values: npt.NDArray[np.uint8], path: Path) -> None:
    """A lossy mask says something only where its values are near black or near white."""
    highest = int(values.max(initial=0))
    if 0 < highest < _HALF:
        raise _refused(path, f"is lossy (JPEG, WebP) and no brighter than {highest} of 255")
    if 2 * int((values >= _CLEARLY_WHITE).sum()) < int((values >= _HALF).sum()):
        raise _refused(path, "is lossy (JPEG, WebP) and neither black nor white in most of what it marks")


def _is_lossy(image: Image.Image, data: bytes) -> bool:
    if image.format == "WEBP":
        return not _has_chunk(data, b"VP8L")
    return image.format in ("JPEG", "MPO") or image.info.get("compression") == "jpeg"


def _has_chunk(riff: bytes, kind: bytes) -> bool:
    place = 12
    while place + 8 <= len(riff):
        name, length = struct.unpack_from("<4sI", riff, place)
        if name == kind:
            return True
        place += 8 + length + length % 2
    return False


def _refused(path: Path, why: str) -> DataError:
    return DataError(f"mask {path}: {why}; save it as 8-bit grey PNG, white where it is marked")
