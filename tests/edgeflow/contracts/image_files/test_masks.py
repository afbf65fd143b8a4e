"""Masks as drawing tools write them: read alike, or refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from edgeflow.contracts.image_files.masks import read_mask
from edgeflow.errors import DataError

MARKED = np.zeros((40, 60), np.bool_)
MARKED[10:25, 20:44] = True


def grey(value: int = 255, dtype: type = np.uint8) -> np.ndarray:
    return (MARKED * value).astype(dtype)


def palette(*colours: int) -> Image.Image:
    image = Image.fromarray(grey(1), "P")
    image.putpalette(colours)
    return image


def rgba(colour: np.ndarray, alpha: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([colour, colour, colour, alpha]).astype(np.uint8))


def red() -> Image.Image:
    return Image.fromarray(np.dstack([grey(128), grey(0), grey(0)]))


FULL = np.full(MARKED.shape, 255)
NOISE = np.random.default_rng(1).integers(1, 255, MARKED.shape)

LOSSLESS = {
    "grey 255": Image.fromarray(grey()),
    "grey 1": Image.fromarray(grey(1)),
    "label 7": Image.fromarray(grey(7)),
    "one bit": Image.fromarray(MARKED),
    "16 bits of 1": Image.fromarray(grey(1, np.uint16)),
    "16 bits of 65535": Image.fromarray(grey(65535, np.uint16)),
    "palette of a labelling tool": palette(0, 0, 0, 128, 0, 0),
    "colour": red(),
    "alpha, white everywhere": rgba(FULL, grey()),
    "alpha, colours of nothing where transparent": rgba(NOISE, grey()),
    "opaque": rgba(grey(), FULL),
    "painted on nothing": rgba(grey(200), grey(255)),
    "grey and alpha": Image.fromarray(np.dstack([FULL.astype(np.uint8), grey()]), "LA"),
    "nearly transparent": rgba(FULL, grey(1)),
}


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("form", LOSSLESS)
def test_all_forms_of_one_mask_are_read_alike(form: str, kind: str, tmp_path: Path) -> None:
    file = tmp_path / "mask"
    LOSSLESS[form].save(file, kind)
    assert np.array_equal(read_mask(file), MARKED)


@pytest.mark.parametrize("quality", [30, 60, 95])
def test_a_jpeg_mask_is_read_at_the_half_of_white(quality: int, tmp_path: Path) -> None:
    file = tmp_path / "mask.png"  # tools do not care for the name
    for image in (Image.fromarray(grey()), Image.fromarray(np.dstack([grey(), grey(0), grey(0)]))):
        image.save(file, "JPEG", quality=quality, subsampling=0)
        assert (read_mask(file) != MARKED).mean() < 0.005


def test_webp_is_read_by_how_it_was_compressed(tmp_path: Path) -> None:
    file = tmp_path / "mask.webp"
    Image.fromarray(grey(1)).save(file, "WEBP", lossless=True)
    assert np.array_equal(read_mask(file), MARKED)
    Image.fromarray(grey()).save(file, "WEBP", quality=60)
    assert (read_mask(file) != MARKED).mean() < 0.01


def test_the_transparent_number_of_a_palette_is_the_background(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    palette(255, 255, 255, 255, 0, 0).save(file, "PNG", transparency=0)
    assert np.array_equal(read_mask(file), MARKED)


@pytest.mark.parametrize("value", [1, 255, 65535])
def test_deep_colour_is_read_at_its_depth(value: int, tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    assert cv2.imwrite(str(file), np.dstack([grey(value, np.uint16)] * 3))
    assert np.array_equal(read_mask(file), MARKED)
    deep_alpha = np.dstack([np.full(MARKED.shape, 65535, np.uint16)] * 3 + [grey(value, np.uint16)])
    assert cv2.imwrite(str(file), deep_alpha)
    assert np.array_equal(read_mask(file), MARKED)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_numbers_of_32_bits_are_labels(dtype: type, tmp_path: Path) -> None:
    file = tmp_path / "mask.tif"
    Image.fromarray(grey(1, dtype)).save(file)
    assert np.array_equal(read_mask(file), MARKED)


def test_a_mask_is_turned_as_it_says(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.rot90(grey())).save(file, exif=exif)
    assert np.array_equal(read_mask(file), MARKED)


def test_nothing_marked_is_a_mask_too(tmp_path: Path) -> None:
    nothing = np.zeros((20, 20), np.uint8)
    for kind in ("PNG", "JPEG"):
        Image.fromarray(nothing).save(tmp_path / "mask", kind)
        assert not read_mask(tmp_path / "mask").any()
    rgba(np.zeros(MARKED.shape), np.zeros(MARKED.shape)).save(tmp_path / "mask", "PNG")
    assert not read_mask(tmp_path / "mask").any()


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


AMBIGUOUS = {
    "no brighter than": saved(Image.fromarray(grey(90)), "JPEG"),
    "neither black nor white": saved(
        Image.fromarray(np.where(MARKED, 150, 0).astype(np.uint8)), "JPEG", quality=95
    ),
    "transparent everywhere": saved(rgba(grey(), np.zeros(MARKED.shape)), "PNG"),
    "black everywhere and transparent in places": saved(rgba(np.zeros(MARKED.shape), grey()), "PNG"),
    "palette without black": saved(palette(0, 0, 255, 255, 0, 0), "PNG"),
    "several numbers that its palette all shows as black": saved(palette(0, 0, 0, 0, 0, 0), "PNG"),
    "several pictures": saved(
        Image.fromarray(grey()), "TIFF", save_all=True, append_images=[Image.fromarray(grey())]
    ),
    "negative values": saved(Image.fromarray(-grey(1, np.float32)), "TIFF"),
    "not finite": saved(Image.fromarray(np.where(MARKED, np.nan, 0).astype(np.float32)), "TIFF"),
    "pixels of kind LAB": saved(Image.new("LAB", (4, 4)), "TIFF"),
}


@pytest.mark.parametrize("why", AMBIGUOUS)
def test_what_could_mean_two_things_is_refused_by_name(why: str, tmp_path: Path) -> None:
    file = tmp_path / "0_mask.png"
    file.write_bytes(AMBIGUOUS[why])
    with pytest.raises(DataError, match=rf"mask .*0_mask\.png: .*{why}.*save it as 8-bit grey PNG, white"):
        read_mask(file)


def test_a_truncated_mask_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mask.png"
    for form in ("grey 255", "16 bits of 1", "colour"):
        data = saved(LOSSLESS[form], "PNG")
        file.write_bytes(data[: len(data) - 30])
        with pytest.raises(DataError, match="damaged"):
            read_mask(file)
