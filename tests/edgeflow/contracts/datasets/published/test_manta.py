"""MANTA: five views in one picture are five views of one part, each with its own mask."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeflow.contracts.datasets.find_parts import find_parts, look_for_parts
from edgeflow.contracts.datasets.layouts import PartsRequest, layout_of
from edgeflow.errors import DataError
from tests.support.data_sets import draw, draw_mask, manta

VIEWS = ["V1", "V2", "V3", "V4", "V5"]


def test_a_strip_is_one_part_of_five_views(tmp_path: Path) -> None:
    root = manta(tmp_path / "MANTA_TINY_256")
    found = look_for_parts(root, PartsRequest())
    assert (found.layout, found.problems) == ("manta", ())
    parts = {part.part_id: part for part in found.parts}
    assert list(parts)[:2] == ["train/good/nut_0", "train/good/nut_1"]
    normal, defective = parts["test/good/nut_0"], parts["test/crack/nut_0"]
    assert list(normal.images) == VIEWS
    assert len(set(normal.images.values())) == 1
    assert [normal.crops[view] for view in VIEWS] == [(n * 16, 0, 16, 16) for n in range(5)]
    assert (normal.label, normal.split, normal.class_name) == ("OK", "test", "mechanics/nut")
    assert set(normal.masks.values()) == {None}
    truth = root / "mechanics/nut/ground_truth/crack/nut_0.png"
    assert defective.masks == {view: truth if view == "V3" else None for view in VIEWS}


@pytest.mark.parametrize("below", ["", "mechanics", "mechanics/nut"])
def test_all_of_it_a_domain_and_a_class_are_known(tmp_path: Path, below: str) -> None:
    root = manta(tmp_path)
    assert layout_of(root / below) == "manta"
    assert len(find_parts(root / below)) == 8


def test_a_class_is_chosen_by_its_whole_name_or_by_its_end(tmp_path: Path) -> None:
    root = manta(tmp_path)
    shutil.copytree(root / "mechanics" / "nut", root / "medicine" / "capsule")
    for name in ("medicine/capsule", "capsule"):
        assert {part.class_name for part in find_parts(root, class_name=name)} == {"medicine/capsule"}
    given = find_parts(root / "medicine", class_name="medicine/capsule")
    assert {part.class_name for part in given} == {"capsule"}
    with pytest.raises(DataError, match="no class 'groceries/nut'"):
        find_parts(root, class_name="groceries/nut")
    with pytest.raises(
        DataError, match="2 classes, choose one by name; found: mechanics/nut, medicine/capsule"
    ):
        find_parts(root)


def test_strips_below_other_names_are_one_view_unless_the_layout_is_named(tmp_path: Path) -> None:
    manta(tmp_path / "made")
    shutil.move(tmp_path / "made" / "mechanics" / "nut", tmp_path / "line7")
    assert layout_of(tmp_path / "line7") == "mvtec_ad"
    assert {tuple(part.images) for part in find_parts(tmp_path / "line7")} == {("image",)}
    assert {tuple(part.images) for part in find_parts(tmp_path / "line7", layout="manta")} == {tuple(VIEWS)}


def test_a_layout_that_a_folder_cannot_have_is_refused(tmp_path: Path) -> None:
    draw(tmp_path / "train/good/0.png")
    with pytest.raises(DataError, match="is not laid out as MANTA"):
        find_parts(tmp_path, layout="manta")
    with pytest.raises(DataError, match="no layout 'manata'; known are real_iad, "):
        find_parts(tmp_path, layout="manata")


def test_pictures_of_other_proportions_and_masks_of_another_size_are_told(tmp_path: Path) -> None:
    root = manta(tmp_path)
    folder = root / "mechanics" / "nut"
    draw(folder / "train/good/odd.png", size=(16, 81))
    (folder / "train/good/broken.png").write_bytes(b"no image")
    draw_mask(folder / "ground_truth/crack/nut_1.png", size=(8, 40), where=None)
    problems = look_for_parts(root, PartsRequest()).problems
    assert len(problems) == 2
    assert any("odd.png is 81x16, and not 5 views of one width" in problem for problem in problems)
    assert any("broken.png: not an image" in problem for problem in problems)
    masks = {part.part_id: part.masks for part in look_for_parts(root, PartsRequest()).parts}
    assert set(masks["test/crack/nut_1"].values()) == {folder / "ground_truth/crack/nut_1.png"}
