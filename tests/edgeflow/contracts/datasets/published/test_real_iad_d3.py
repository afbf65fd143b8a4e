"""Real-IAD D³: the lights are the views; pseudo-3D pictures and point clouds are no images of a camera."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeflow.contracts.datasets.find_parts import find_parts, look_for_parts
from edgeflow.contracts.datasets.layouts import PartsRequest, layout_of
from edgeflow.errors import DataError
from tests.support.data_sets import draw, draw_mask

NAME = "fuse_holder"
LIGHTS = [f"L0{number}" for number in range(1, 6)]


def entry(root: Path, kind: str, number: int) -> dict[str, Any]:
    """A part's files and its entry."""
    folder = f"OK/S{number:04d}" if kind == "OK" else f"NG/{kind}/S{number:04d}"
    stem = f"{NAME}_{number:04d}_{kind}"
    at = root / "realiad_d3_raw" / NAME / folder
    draw(*(at / f"{stem}_RGB{light}_00000000000000.jpg" for light in LIGHTS))
    draw(at / f"{stem}_PS_00000000000000.jpg")
    (at / f"{stem}_XYZ_00000000000000.tiff").write_bytes(b"points, as floats")
    (at / f"{stem}_PCD_00000000000000.pcd").write_text("# .PCD v.7")
    mask = f"{folder}/{stem}_RGBL05_00000000000000.png"
    if kind != "OK":
        draw_mask(root / "realiad_d3_raw" / NAME / mask)
    return {
        "category": NAME,
        "anomaly_class": kind,
        "image_path": f"{folder}/{stem}_RGBL05_00000000000000.jpg",
        "ps_path": f"{folder}/{stem}_PS_00000000000000.jpg",
        "xyz_path": f"{folder}/{stem}_XYZ_00000000000000.tiff",
        "mask_path": None if kind == "OK" else mask,
    }


@pytest.fixture
def d3(tmp_path: Path) -> Path:
    root = tmp_path / "Real-IAD_D3"
    document = {
        "meta": {"normal_class": "OK", "prefix": f"{NAME}/"},
        "train": [entry(root, "OK", 1), entry(root, "OK", 2)],
        "validation": [entry(root, "OK", 3), entry(root, "scratch", 4)],
        "test": [entry(root, "OK", 5), entry(root, "scratch", 6)],
    }
    (root / "realiad_d3_jsons").mkdir()
    (root / "realiad_d3_jsons" / f"{NAME}.json").write_text(json.dumps(document))
    return root


def test_a_part_has_a_view_for_each_light_and_one_mask_for_all(d3: Path) -> None:
    found = look_for_parts(d3, PartsRequest())
    assert (found.layout, found.problems) == ("real_iad_d3", ())
    parts = {part.part_id: part for part in found.parts}
    assert {name: (part.split, part.label) for name, part in parts.items()} == {
        "OK/S0001": ("train", "OK"),
        "OK/S0002": ("train", "OK"),
        "OK/S0003": ("validation", "OK"),
        "OK/S0005": ("test", "OK"),
        "NG/scratch/S0006": ("test", "scratch"),
    }
    defective = parts["NG/scratch/S0006"]
    assert list(defective.images) == LIGHTS
    assert all(f"RGB{light}" in file.name for light, file in defective.images.items())
    (mask,) = set(defective.masks.values())
    assert isinstance(mask, Path)
    assert mask.name == f"{NAME}_0006_scratch_RGBL05_00000000000000.png"
    assert set(parts["OK/S0005"].masks.values()) == {None}
    assert found.notes == (
        "1 defective part(s) of the validation split are left out",
        "pseudo-3D pictures (PS), coordinate maps (XYZ) and point clouds (PCD) are not read",
    )


def test_views_can_be_chosen_and_a_missing_light_is_named(d3: Path) -> None:
    (part, *_) = find_parts(d3, views=("L05",))
    part.images["L03"].unlink()
    assert len(find_parts(d3, views=("L05", "L01"))) == 5
    with pytest.raises(DataError, match=f"part {part.part_id}: missing view L03"):
        find_parts(d3)


def test_its_folder_of_images_and_other_foldings_are_read(d3: Path) -> None:
    assert layout_of(d3 / "realiad_d3_raw") == "real_iad_d3"
    assert len(find_parts(d3 / "realiad_d3_raw")) == 5
    (d3 / "realiad_d3_raw" / NAME).rename(d3 / NAME)  # each archive unpacked beside the descriptions
    assert len(find_parts(d3, class_name=NAME)) == 5


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[1", "not a Real-IAD D³ description: "),
        ('{"train": []}', "not a Real-IAD D³ description"),
        ('{"train": [{"anomaly_class": "OK", "image_path": "../a.jpg"}], "test": []}', "without '..'"),
    ],
)
def test_a_broken_description_is_named(d3: Path, text: str, problem: str) -> None:
    (d3 / "realiad_d3_jsons" / f"{NAME}.json").write_text(text)
    with pytest.raises(DataError) as caught:
        find_parts(d3)
    assert problem in str(caught.value)
