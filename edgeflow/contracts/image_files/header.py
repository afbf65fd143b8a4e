"""Size, depth and orientation of an image file, read without decoding its pixels."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import BinaryIO

from PIL import ExifTags, Image

from edgeflow.contracts.image_files.bit_depth import DEEPEST, SHALLOWEST
from edgeflow.contracts.image_files.orientation import UPRIGHT, swaps_sides

__all__ = ["ImageHeader", "PngNotes", "header_of", "png_notes"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_BITS_PER_SAMPLE = 258
_LARGEST_SAMPLE = (281, 341)  # MaxSampleValue, SMaxSampleValue
_XMP = b"XML:com.adobe.xmp"
_SHORT = 64  # bytes of a chunk that tell what it is
_TAIL = 256 * 1024


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """One image file.

    Attributes:
        height, width: in pixels, as the picture is to be looked at.
        bits: room for the values of one channel: 8, 12 or 16.
        stated_bits: how many of them the file itself calls significant; None where it does not say.
        orientation: how the stored pixels are to be turned, EXIF's 1 to 8; 1 is upright.
        turned_by_decoder: the file's format is turned while it is decoded, as TIFF is.
    """

    height: int
    width: int
    bits: int
    stated_bits: int | None
    orientation: int
    turned_by_decoder: bool

    @property
    def is_deep(self) -> bool:
        """True if it has room for more than 8 bits."""
        return self.bits > SHALLOWEST


@dataclass(frozen=True, kw_only=True)
class PngNotes:
    """Chunks of a PNG file beside its pixels."""

    significant_bits: int | None = None
    may_be_turned: bool = False


def header_of(image: Image.Image, notes: PngNotes) -> ImageHeader:
    """The header of an image that Pillow has opened; only a PNG that may be turned is decoded for it.

    Args:
        notes: see ``png_notes``.
    """
    is_tiff = image.format == "TIFF"
    is_quiet = image.format == "PNG" and not notes.may_be_turned
    orientation = UPRIGHT if is_quiet else _orientation(image)
    height, width = image.height, image.width
    if not is_tiff and swaps_sides(orientation):
        height, width = width, height
    return ImageHeader(
        height=height,
        width=width,
        bits=_room(image),
        stated_bits=_stated_by_tiff(image) if is_tiff else notes.significant_bits,
        orientation=orientation,
        turned_by_decoder=is_tiff,
    )


def png_notes(file: BinaryIO) -> PngNotes:
    """Read a file's PNG chunks; none for another format. The file is left at its beginning."""
    try:
        return _walk(file) if file.read(len(_PNG_SIGNATURE)) == _PNG_SIGNATURE else PngNotes()
    finally:
        file.seek(0)


def _walk(file: BinaryIO) -> PngNotes:
    """The chunks before the pixels one by one; those behind, of which there are few, by their names."""
    significant: int | None = None
    may_be_turned = False
    while len(head := file.read(8)) == 8:
        length, kind = struct.unpack(">I4s", head)
        if kind == b"IDAT":
            may_be_turned = may_be_turned or _is_named_behind(file)
            break
        content = file.read(min(length, _SHORT))
        if kind == b"sBIT" and content:
            significant = max(content[:4]) or None
        may_be_turned = may_be_turned or kind == b"eXIf" or (kind == b"iTXt" and content.startswith(_XMP))
        file.seek(length - len(content) + 4, os.SEEK_CUR)
    return PngNotes(significant_bits=significant, may_be_turned=may_be_turned)


def _is_named_behind(file: BinaryIO) -> bool:
    end = file.seek(0, os.SEEK_END)
    file.seek(max(0, end - _TAIL))
    tail = file.read()
    return b"eXIf" in tail or _XMP in tail


def _orientation(image: Image.Image) -> int:
    # TIFF: its own tag, since Pillow takes it away once the pixels are turned.
    number = image.getexif().get(ExifTags.Base.Orientation, UPRIGHT)
    return int(number) if number in range(1, 9) else UPRIGHT


def _room(image: Image.Image) -> int:
    """Bits of one channel in the file; Pillow's mode tells it only for grey."""
    if image.format == "TIFF":
        samples = image.tag_v2.get(_BITS_PER_SAMPLE, (1,))  # type: ignore[attr-defined]
        return min(DEEPEST, max(SHALLOWEST, *map(int, samples)))
    args = tiles[0].args if (tiles := getattr(image, "tile", ())) else ()
    raw_mode = args if isinstance(args, str) else str(args[0]) if args else ""
    return DEEPEST if ";16" in raw_mode else SHALLOWEST


def _stated_by_tiff(image: Image.Image) -> int | None:
    for tag in _LARGEST_SAMPLE:
        value = image.tag_v2.get(tag)  # type: ignore[attr-defined]
        highest = max(value) if isinstance(value, tuple) and value else value
        if isinstance(highest, int) and 0 < highest < 2**DEEPEST:
            return highest.bit_length()
    return None
