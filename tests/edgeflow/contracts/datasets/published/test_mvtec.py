"""The layout of the MVTec data sets: one image per part, defects in folders, masks beside them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.errors import DataError


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / name)


@pytest.fixture
def bottle(tmp_path: Path) -> Path:
    root = tmp_path / "mvtec" / "bottle"
    touch(root, "train/good/000.png", "train/good/001.png", "test/good/000.png", "test/crack/000.png")
    touch(root, "ground_truth/crack/000_mask.png")
    (root / "readme.txt").write_text("not an image")
    (root / "train" / "good" / "notes.txt").write_text("not an image")
    return root


def test_parts_have_one_view_a_split_a_label_and_a_mask(bottle: Path) -> None:
    parts = {part.part_id: part for part in find_parts(bottle)}
    assert list(parts) == ["train/good/000", "train/good/001", "test/crack/000", "test/good/000"]
    assert {tuple(part.images) for part in parts.values()} == {("image",)}
    assert {part.class_name for part in parts.values()} == {"bottle"}
    normal, defective = parts["train/good/001"], parts["test/crack/000"]
    assert (normal.split, normal.label, normal.masks) == ("train", "OK", {"image": None})
    assert (defective.split, defective.label, defective.defective) == ("test", "crack", True)
    assert defective.masks == {"image": bottle / "ground_truth" / "crack" / "000_mask.png"}


def test_without_ground_truth_defects_have_no_masks(bottle: Path) -> None:
    shutil.rmtree(bottle / "ground_truth")
    (defective,) = (part for part in find_parts(bottle) if part.defective)
    assert defective.masks == {"image": None}


def test_of_a_folder_of_classes_one_is_chosen(bottle: Path) -> None:
    root = bottle.parent
    assert len(find_parts(root)) == 4  # the only one
    shutil.copytree(bottle, root / "cable")
    (root / "license").mkdir()
    assert {part.class_name for part in find_parts(root, class_name="cable")} == {"cable"}
    with pytest.raises(DataError, match="2 classes, choose one by name; found: bottle, cable"):
        find_parts(root)
    with pytest.raises(DataError, match="no class 'nut'; found: bottle, cable"):
        find_parts(root, class_name="nut")


def test_another_class_than_the_folder_holds_is_refused(bottle: Path) -> None:
    assert len(find_parts(bottle, class_name="bottle")) == 4
    with pytest.raises(DataError, match="no class 'cable'; found: bottle"):
        find_parts(bottle, class_name="cable")


def test_an_image_that_is_there_twice_is_named(bottle: Path) -> None:
    touch(bottle, "test/crack/000.jpg")
    with pytest.raises(DataError, match="1 problem") as caught:
        find_parts(bottle)
    assert caught.value.problems == ("part test/crack/000: view image is there twice",)


def test_other_views_than_the_one_are_missing(bottle: Path) -> None:
    with pytest.raises(DataError, match="part test/good/000: missing view top"):
        find_parts(bottle, views=("top",))


def test_a_class_is_found_however_its_accents_are_spelt(tmp_path: Path) -> None:
    for name in ("Schl\u00fcssel", "Du\u0308se", "D\u00fcse"):
        touch(tmp_path, f"{name}/train/good/0.png")
    for asked, found in (
        ("Schlu\u0308ssel", "Schl\u00fcssel"),
        ("Du\u0308se", "Du\u0308se"),
        ("D\u00fcse", "D\u00fcse"),
    ):
        (part,) = find_parts(tmp_path, class_name=asked)
        assert part.class_name == found
