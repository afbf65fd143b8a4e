"""Image files to RGB pixels: the usual kinds decoded exactly, everything else refused in time."""

from __future__ import annotations

import io
import struct
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.contracts.images import MAX_PIXELS, RgbImage, decode_image, read_image
from edgeflow.errors import DataError

RGB = np.random.default_rng(0).integers(0, 256, (9, 13, 3), dtype=np.uint8)

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(data: bytes) -> RgbImage:
    return decode_image(data, what="a.png")


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header promises a size that its few bytes of pixels do not hold."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_files_give_the_same_pixels_red_first(kind: str) -> None:
    image = decoded(encoded(Image.fromarray(RGB), kind))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, RGB)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_lossy_files_give_nearly_the_same_pixels_red_first(kind: str) -> None:
    image = decoded(encoded(Image.new("RGB", (16, 16), (200, 100, 50)), kind, quality=95))
    assert np.abs(image.astype(int) - (200, 100, 50)).max() <= 4


def test_grey_becomes_three_equal_channels() -> None:
    grey = RGB[:, :, 0]
    image = decoded(encoded(Image.fromarray(grey)))
    np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_of_16_bit_grey_the_upper_8_bits_are_kept(kind: str) -> None:
    grey = np.linspace(0, 65535, 12 * 10).reshape(12, 10).astype(np.uint16)
    image = decoded(encoded(Image.fromarray(grey), kind))
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image[:, :, 1], grey >> 8)


def test_transparency_is_dropped() -> None:
    alpha = np.dstack([RGB, np.full(RGB.shape[:2], 7, np.uint8)])
    np.testing.assert_array_equal(decoded(encoded(Image.fromarray(alpha))), RGB)


def test_cmyk_becomes_rgb() -> None:
    image = decoded(encoded(Image.new("RGB", (8, 8), (200, 100, 50)).convert("CMYK"), "TIFF"))
    np.testing.assert_array_equal(image[0, 0], (200, 100, 50))


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_pixels_without_a_plain_meaning_as_rgb_are_refused(mode: str) -> None:
    with pytest.raises(DataError, match=rf"pixels of kind {mode} cannot be used; save it as 8-bit"):
        decoded(encoded(Image.new(mode, (4, 4)), "TIFF"))


@pytest.mark.parametrize(
    "size", [(65500, 16384), (9500, 9500), (8001, 8000), (2**31 - 1, 2**31 - 1), (2**32 - 1, 1)]
)
def test_a_header_that_promises_too_many_pixels_is_refused_at_once(size: tuple[int, int]) -> None:
    assert size[0] * size[1] > MAX_PIXELS
    began_s = time.perf_counter()
    with pytest.raises(DataError, match=r"a\.png: .*more than the 64000000 allowed"):
        decoded(png_of_size(*size))
    assert time.perf_counter() - began_s < 1.0


def test_a_jpeg_bomb_is_refused_by_its_header() -> None:
    data = bytearray(encoded(Image.new("RGB", (16, 16)), "JPEG"))
    frame = data.index(b"\xff\xc0") + 5
    data[frame : frame + 4] = struct.pack(">HH", 65500, 16384)
    with pytest.raises(DataError, match="more than the 64000000 allowed"):
        decoded(bytes(data))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "TIFF", "WEBP"])
def test_a_truncated_file_is_refused_at_every_length(kind: str) -> None:
    data = encoded(Image.fromarray(np.tile(RGB, (4, 4, 1))), kind)
    for length in (*range(40), *range(40, len(data) * 9 // 10, 97)):
        with pytest.raises(DataError, match=r"a\.png: (not an image|image is damaged)"):
            decoded(data[:length])


@pytest.mark.parametrize(
    "data",
    [b"", b"hello", bytes(1000), POSTSCRIPT, b"<svg/>", b"GIF89a"],
)
def test_what_is_not_an_image_of_a_known_format_is_refused(data: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.png: not an image; replace it by one of PNG, JPEG"):
        decoded(data)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP"])
def test_a_damaged_file_is_decoded_or_refused_but_nothing_else(kind: str) -> None:
    data = encoded(Image.fromarray(np.tile(RGB, (3, 3, 1))), kind)
    generator = np.random.default_rng(1)
    for _ in range(200):
        damaged = bytearray(data)
        for _ in range(int(generator.integers(1, 7))):
            damaged[int(generator.integers(min(400, len(data))))] = int(generator.integers(256))
        try:
            image = decoded(bytes(damaged))
        except DataError:
            continue
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


def test_decoding_in_threads_leaves_the_warning_filters_as_they_were() -> None:
    warnings.simplefilter("ignore")  # pytest restores its own after the test
    before = list(warnings.filters)
    data = encoded(Image.fromarray(np.tile(RGB, (40, 40, 1))))
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # threads meet in the middle of everything
    try:
        threads = [threading.Thread(target=lambda: [decoded(data) for _ in range(20)]) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval_s)
    assert list(warnings.filters) == before


def test_a_file_is_read_and_a_missing_one_named(tmp_path: Path) -> None:
    file = tmp_path / "a.png"
    file.write_bytes(encoded(Image.fromarray(RGB)))
    np.testing.assert_array_equal(read_image(file), RGB)
    with pytest.raises(DataError, match=r"none\.png: cannot be read: No such file.*check the path"):
        read_image(tmp_path / "none.png")
