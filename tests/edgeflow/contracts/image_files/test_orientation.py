"""Pictures that say how they are to be turned: all eight forms, alike in every format."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from edgeflow.contracts.image_files.orientation import swaps_sides, turned
from edgeflow.contracts.images import Reading, decode_image, image_header, image_size
from edgeflow.errors import DataError

ORIENTATION = 0x112
NUMBERS = range(1, 9)
STORED = np.random.default_rng(5).integers(0, 256, (8, 16, 3), dtype=np.uint8)


def shown(number: int, stored: np.ndarray = STORED) -> np.ndarray:
    """The stored pixels as Pillow turns them, which knows nothing of ours."""
    exif = Image.Exif()
    exif[ORIENTATION] = number
    image = Image.fromarray(stored)
    image.info["exif"] = exif.tobytes()
    return np.asarray(ImageOps.exif_transpose(image))


def encoded(number: int, kind: str, stored: np.ndarray = STORED) -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = number
    buffer = io.BytesIO()
    options: dict[str, object] = {"exif": exif}
    if kind == "TIFF":
        options = {"tiffinfo": {ORIENTATION: number}}
    Image.fromarray(stored).save(buffer, kind, **({"lossless": True} if kind == "WEBP" else {}), **options)
    return buffer.getvalue()


def with_exif_behind_the_pixels(number: int) -> bytes:
    """As some tools write it: the chunk stands at the end of the file."""
    exif = Image.Exif()
    exif[ORIENTATION] = number
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = b"eXIf" + content
    chunk = struct.pack(">I", len(content)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    buffer = io.BytesIO()
    Image.fromarray(STORED).save(buffer, "PNG")
    end = buffer.getvalue().rindex(b"\0\0\0\0IEND")
    return buffer.getvalue()[:end] + chunk + buffer.getvalue()[end:]


def with_xmp(number: int) -> bytes:
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        f'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="{number}"/></rdf:RDF></x:xmpmeta>'
    )
    buffer = io.BytesIO()
    Image.fromarray(STORED).save(buffer, "JPEG", xmp=xmp.encode(), quality=100)
    return buffer.getvalue()


@pytest.mark.parametrize("number", NUMBERS)
def test_pixels_are_turned_as_the_standard_says(number: int) -> None:
    assert np.array_equal(turned(STORED, number), shown(number))
    assert swaps_sides(number) == (shown(number).shape[:2] == (16, 8))


@pytest.mark.parametrize("number", [-1, 0, 9, 1000])
def test_a_number_that_the_standard_does_not_have_leaves_the_pixels(number: int) -> None:
    assert np.array_equal(turned(STORED, number), STORED)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("number", NUMBERS)
def test_every_format_is_turned_as_it_says(number: int, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(encoded(number, kind))
    assert np.array_equal(decode_image(file.read_bytes(), what="a"), shown(number))
    assert image_size(file) == shown(number).shape[:2]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_jpeg_is_turned_as_it_says(number: int) -> None:
    # Smooth, so that compression keeps the values.
    stored = np.asarray(Image.fromarray(STORED[:2, :2]).resize((32, 16), Image.Resampling.BILINEAR))
    image = decode_image(encoded(number, "JPEG", stored), what="a")
    plain = decode_image(encoded(1, "JPEG", stored), what="a")
    assert np.array_equal(image, shown(number, plain))


@pytest.mark.parametrize("number", [3, 6])
def test_a_note_behind_the_pixels_and_one_in_xmp_count(number: int, tmp_path: Path) -> None:
    assert np.array_equal(decode_image(with_exif_behind_the_pixels(number), what="a"), shown(number))
    file = tmp_path / "a.png"
    file.write_bytes(with_exif_behind_the_pixels(number))
    assert image_header(file).orientation == number
    assert decode_image(with_xmp(number), what="a").shape == shown(number).shape


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("number", [2, 6, 7])
def test_deep_pictures_are_turned_too(number: int, kind: str) -> None:
    deep = (STORED[..., 0].astype(np.uint16) << 8) + 255
    expected = np.repeat(shown(number, STORED[..., 0])[..., np.newaxis], 3, axis=2)
    assert np.array_equal(decode_image(encoded(number, kind, deep), what="a"), expected)


def test_deep_colour_is_turned_once(tmp_path: Path) -> None:
    ok, plain = cv2.imencode(".png", STORED[..., ::-1].astype(np.uint16) << 8)
    assert ok
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    content = exif.tobytes().removeprefix(b"Exif\0\0")
    chunk = struct.pack(">I", len(content)) + b"eXIf" + content
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    data = plain.tobytes()
    data = data[:33] + chunk + data[33:]  # behind the header
    assert np.array_equal(decode_image(data, what="a"), shown(6))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_bundle_from_before_refuses_what_is_to_be_turned(kind: str) -> None:
    before = Reading(orientation="refused")
    with pytest.raises(
        DataError, match=r"a: is to be turned \(EXIF orientation 6\).*export the bundle again"
    ):
        decode_image(encoded(6, kind), what="a", reading=before)
    assert decode_image(encoded(1, kind), what="a", reading=before).shape == STORED.shape


def test_a_bundle_from_before_turns_tiff_as_ever() -> None:
    for orientation in ("refused", "ignored"):
        reading = Reading(orientation=orientation)  # type: ignore[arg-type]
        assert np.array_equal(decode_image(encoded(6, "TIFF"), what="a", reading=reading), shown(6))


def test_ignored_gives_the_pixels_as_they_are_stored() -> None:
    image = decode_image(encoded(6, "PNG"), what="a", reading=Reading(orientation="ignored"))
    assert np.array_equal(image, STORED)


def test_a_damaged_note_does_not_turn(tmp_path: Path) -> None:
    assert np.array_equal(decode_image(encoded(77, "PNG"), what="a"), STORED)
