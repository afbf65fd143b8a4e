"""Images with more than 8 bits: one conversion for files, refused where their depth is another one."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from edgeflow.contracts.datasets.data_depth import data_depth, require_filled_range
from edgeflow.contracts.image_files.bit_depth import to_eight_bits
from edgeflow.contracts.image_files.masks import read_mask
from edgeflow.contracts.images import Reading, brightest_value, decode_image, image_header
from edgeflow.errors import DataError

GREY = np.random.default_rng(2).integers(0, 256, (6, 9), dtype=np.uint8)


def png(values: np.ndarray, *, significant: int | None = None) -> bytes:
    """Grey (H, W) or RGB (H, W, 3), with the chunk that says how many bits count."""
    pixels = values[..., ::-1] if values.ndim == 3 else values
    ok, data = cv2.imencode(".png", np.ascontiguousarray(pixels))
    assert ok
    if significant is None:
        return data.tobytes()
    content = bytes([significant] * (3 if values.ndim == 3 else 1))
    chunk = struct.pack(">I", len(content)) + b"sBIT" + content
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    return data.tobytes()[:33] + chunk + data.tobytes()[33:]


def tiff(values: np.ndarray, **tags: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "TIFF", **({"tiffinfo": {281: tags["highest"]}} if tags else {}))
    return buffer.getvalue()


def retagged(data: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF whose tag, one short number, has another value."""
    place = data.index(struct.pack("<HHI", tag, 3, 1)) + 8
    return data[:place] + struct.pack("<H", value) + data[place + 2 :]


def written(folder: Path, *contents: bytes) -> list[Path]:
    files = []
    for number, content in enumerate(contents):
        files.append(folder / f"{number}.png")
        files[-1].write_bytes(content)
    return files


@given(st.integers(8, 16), st.integers(0, 65535))
def test_the_upper_eight_of_the_significant_bits_are_kept(bits: int, value: int) -> None:
    values = np.array([[value]], np.uint16)
    if value < 2**bits:
        assert to_eight_bits(values, bits)[0, 0] == value >> (bits - 8)
    else:
        with pytest.raises(ValueError, match=f"value {value} is above {2**bits - 1}, the highest of {bits}"):
            to_eight_bits(values, bits)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("colour", [False, True])
@pytest.mark.parametrize("encode", [png, tiff])
def test_files_of_declared_depth_look_as_8_bit_files(bits: int, colour: bool, encode: object) -> None:
    grey = np.repeat(GREY[..., np.newaxis], 3, axis=2) if colour else GREY
    if colour and encode is tiff:
        _, data = cv2.imencode(".tif", grey.astype(np.uint16) << (bits - 8))
        content = data.tobytes()
    else:
        content = encode(grey.astype(np.uint16) << (bits - 8))  # type: ignore[operator]
    image = decode_image(content, what="a", reading=Reading(bits=bits))
    assert np.array_equal(image, np.repeat(GREY[..., np.newaxis], 3, axis=2))


def test_deep_colour_keeps_red_first_and_drops_transparency() -> None:
    rgba = np.zeros((2, 3, 4), np.uint16)
    rgba[...] = 4000, 2000, 1000, 7
    ok, data = cv2.imencode(".png", rgba[..., [2, 1, 0, 3]])
    assert ok
    image = decode_image(data.tobytes(), what="a", reading=Reading(bits=12))
    assert image[0, 0].tolist() == [250, 125, 62]


def test_a_value_above_the_declared_depth_is_refused_by_name() -> None:
    values = GREY.astype(np.uint16)
    values[3, 3] = 4096
    with pytest.raises(DataError, match=r"a\.png: value 4096 is above 4095, the highest of 12 bits; declare"):
        decode_image(png(values), what="a.png", reading=Reading(bits=12))


def test_files_of_8_bits_are_taken_as_they_are_whatever_is_declared() -> None:
    assert np.array_equal(decode_image(png(GREY), what="a", reading=Reading(bits=12))[..., 0], GREY)


def test_without_a_declaration_all_16_bits_count_as_ever() -> None:
    values = np.full((2, 2), 4095, np.uint16)
    assert decode_image(png(values), what="a").max() == 15


def test_a_truncated_deep_file_is_refused() -> None:
    rgb = np.random.default_rng(0).integers(0, 4096, (40, 40, 3)).astype(np.uint16)
    data = png(rgb)
    for length in (len(data) // 2, len(data) * 3 // 4):
        with pytest.raises(DataError, match="damaged"):
            decode_image(data[:length], what="a", reading=Reading(bits=12))


def test_a_header_tells_room_and_statement(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16)
    stating, plain, eight, tagged, packed = written(
        tmp_path,
        png(deep, significant=12),
        png(deep),
        png(GREY, significant=5),
        tiff(deep, highest=1023),
        b"",
    )
    assert (image_header(stating).bits, image_header(stating).stated_bits) == (16, 12)
    assert (image_header(plain).bits, image_header(plain).stated_bits) == (16, None)
    assert not image_header(eight).is_deep
    assert (image_header(tagged).bits, image_header(tagged).stated_bits) == (16, 10)
    assert packed.exists()


def test_the_files_own_statement_is_the_depth(tmp_path: Path) -> None:
    twelve = GREY.astype(np.uint16) << 4
    files = written(tmp_path, *[png(twelve, significant=12)] * 3)
    assert data_depth(files, declared=None, what="data").bits == 12


def test_values_shifted_up_as_png_asks_have_16_bits(tmp_path: Path) -> None:
    shifted = GREY.astype(np.uint16) << 8
    files = written(tmp_path, *[png(shifted, significant=12)] * 3)
    assert data_depth(files, declared=None, what="data").bits == 16


def test_the_declared_depth_goes_before_the_files_own(tmp_path: Path) -> None:
    files = written(tmp_path, png(GREY.astype(np.uint16), significant=10), png(GREY.astype(np.uint16)))
    assert data_depth(files, declared=12, what="data").bits == 12
    assert data_depth(files, declared=12, what="data").deep


def test_files_of_different_depth_are_refused(tmp_path: Path) -> None:
    files = written(tmp_path, png(GREY), png(GREY.astype(np.uint16)), png(GREY))
    for declared in (None, 12):
        with pytest.raises(DataError, match="data: its images are of different depth") as caught:
            data_depth(files, declared=declared, what="data")
        assert len(caught.value.problems) == 2
        assert str(files[1]) in str(caught.value)


def test_different_statements_are_refused_unless_the_depth_is_declared(tmp_path: Path) -> None:
    deep = GREY.astype(np.uint16)
    files = written(tmp_path, png(deep, significant=10), png(deep, significant=12))
    with pytest.raises(DataError, match="of which 10 are significant"):
        data_depth(files, declared=None, what="data")


def test_files_that_cannot_be_read_are_left_to_their_decoder(tmp_path: Path) -> None:
    files = [*written(tmp_path, png(GREY), b"no image"), tmp_path / "missing.png"]
    assert data_depth(files, declared=None, what="data").bits == 8
    assert data_depth([], declared=None, what="data").bits == 8


@pytest.mark.parametrize(("highest", "likely"), [(4095, 12), (1000, 10), (255, 8), (3, 8), (16383, 14)])
def test_a_data_set_far_below_its_depth_is_refused(tmp_path: Path, highest: int, likely: int) -> None:
    values = np.zeros((4, 4), np.uint16)
    values[1, 1] = highest
    files = written(tmp_path, png(values), png(np.zeros((4, 4), np.uint16)))
    with pytest.raises(
        DataError, match=f"values up to {highest} of 65535: is this {likely}-bit data"
    ) as caught:
        require_filled_range({"C1": files}, 16, what="data", remedy="say so")
    assert "just dark, say so" in str(caught.value)


def test_a_file_that_cannot_be_read_says_nothing_of_the_range(tmp_path: Path) -> None:
    files = written(tmp_path, b"no image", png(np.full((2, 2), 4095, np.uint16)))
    require_filled_range({"C1": files[:1]}, 16, what="data", remedy="")
    with pytest.raises(DataError, match="values up to 4095 of 65535: is this 12-bit data"):
        require_filled_range({"C1": files}, 16, what="data", remedy="")


def test_one_camera_of_less_depth_than_the_others_is_named(tmp_path: Path) -> None:
    shallow, full = np.full((4, 4), 4000, np.uint16), np.full((4, 4), 64000, np.uint16)
    files = written(tmp_path, png(shallow), png(full))
    views = {"C1": files[:1], "C2": files[1:]}
    with pytest.raises(DataError, match="view C1: values up to 4000 of 65535: is this 12-bit data") as caught:
        require_filled_range(views, 16, what="data", remedy="say so")
    assert "with one depth" in str(caught.value)
    require_filled_range({"C2": files[1:]}, 16, what="data", remedy="")


def test_one_bright_value_in_a_data_set_is_enough(tmp_path: Path) -> None:
    dark, bright = np.zeros((4, 4), np.uint16), np.zeros((4, 4), np.uint16)
    bright[2, 3] = 1024
    files = written(tmp_path, png(dark), png(bright))
    require_filled_range({"C1": files}, 12, what="data", remedy="")
    with pytest.raises(DataError):
        require_filled_range({"C1": files}, 13, what="data", remedy="")


def test_the_brightest_value_is_read_at_full_depth(tmp_path: Path) -> None:
    rgb = np.zeros((4, 4, 3), np.uint16)
    rgb[0, 0, 2] = 4001
    deep, eight = written(tmp_path, png(rgb), png(np.full((3, 3), 77, np.uint8)))
    assert brightest_value(deep) == 4001
    assert brightest_value(eight) == 77


DEEP_TIFF = {
    "0 is white": retagged(tiff(GREY.astype(np.uint16)), 262, 0),
    "stores red, green and blue one after the other": retagged(
        cv2.imencode(".tif", np.dstack([GREY.astype(np.uint16)] * 3))[1].tobytes(), 284, 2
    ),
}


@pytest.mark.parametrize("why", DEEP_TIFF)
def test_deep_tiff_that_decoders_read_wrongly_is_refused(why: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=f"^a: {why}"):
        decode_image(DEEP_TIFF[why], what="a")
    (file,) = written(tmp_path, DEEP_TIFF[why])
    with pytest.raises(DataError, match=f"^mask .*: {why}"):
        read_mask(file)
