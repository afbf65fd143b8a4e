"""Data sets looked at before a training: what they hold, and everything odd that would come up later."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.diagnostics.data_set import DataInspection, InspectionChoices, inspect_data
from edgeflow.errors import DataError
from tests.support.data_sets import coco_image, draw, draw_mask, manta, polygon, write_coco


def texts(found: DataInspection, state: str) -> list[str]:
    return [f"{finding.name}: {finding.text}" for finding in found.findings if finding.state == state]


def part_folders(root: Path, count: int = 24) -> Path:
    """Parts of two views, without labels; every image another grey."""
    for number in range(count):
        for view, grey in (("C1", 10), ("C2", 100)):
            draw(root / f"p{number:02d}" / f"{view}.png", value=grey + number)
    return root


def mvtec(root: Path, *, train: int = 24) -> Path:
    for number in range(train):
        draw(root / "train" / "good" / f"{number}.png", value=30 + number)
    draw(root / "test" / "good" / "0.png", value=200)
    for number in range(2):
        draw(root / "test" / "crack" / f"{number}.png", value=210 + number)
        draw_mask(root / "ground_truth" / "crack" / f"{number}_mask.png")
    return root


def test_a_whole_data_set_has_counts_and_nothing_odd(tmp_path: Path) -> None:
    found = inspect_data(mvtec(tmp_path / "nut"))
    assert (found.layout, found.title, found.class_name, found.parts) == ("mvtec_ad", "MVTec AD", "nut", 27)
    assert found.splits == {"test": 3, "train": 24}
    assert found.labels == {"OK": 25, "crack": 2}
    (view,) = found.views
    assert (view.view, view.parts, view.sizes, view.bits) == ("image", 27, {"16x16": 27}, {8: 27})
    assert (found.masks.defective_parts, found.masks.with_masks, found.masks.empty) == (2, 2, 0)
    assert found.findings == ()
    assert found.ok
    assert found.block.as_yaml() == f"data:\n  root: {tmp_path / 'nut'}\n"


def test_masks_that_are_empty_of_another_size_or_missing_are_told(tmp_path: Path) -> None:
    root = mvtec(tmp_path)
    truth = root / "ground_truth" / "crack"
    for number in (2, 3):
        draw(root / "test" / "crack" / f"{number}.png", value=210 + number)
    draw_mask(truth / "0_mask.png", where=None)
    draw_mask(truth / "1_mask.png", size=(8, 16))
    (truth / "2_mask.png").write_bytes(b"no mask")
    found = inspect_data(root)
    assert texts(found, "warning") == [
        f"masks: part test/crack/0, view image: {truth / '0_mask.png'} marks no pixel of a defective view"
    ]
    failed = texts(found, "failed")
    assert len(failed) == 3
    assert (
        f"masks: part test/crack/1, view image: {truth / '1_mask.png'} is 16x8, its image is 16x16" in failed
    )
    assert any("test/crack/2" in text and "not an image" in text for text in failed)
    assert any("test/crack/3" in text and "no such mask" in text for text in failed)
    assert found.masks.empty == 1
    assert not found.ok


def test_missing_views_and_unreadable_files_are_told(tmp_path: Path) -> None:
    root = part_folders(tmp_path)
    (root / "p03" / "C2.png").unlink()
    (root / "p04" / "C1.png").write_bytes(b"no image")
    whole = (root / "p05" / "C1.png").read_bytes()
    (root / "p05" / "C1.png").write_bytes(whole[: len(whole) // 2])
    failed = texts(inspect_data(root), "failed")
    assert "parts: part p03: missing view C2" in failed
    assert any(text.startswith(f"images: {root / 'p04' / 'C1.png'}: not an image") for text in failed)
    assert not any("p05" in text for text in failed)
    failed = texts(inspect_data(root, InspectionChoices(decode=True)), "failed")
    assert any(f"{root / 'p05' / 'C1.png'}: image is damaged" in text for text in failed)


def test_mixed_sizes_depths_and_orientations_are_told(tmp_path: Path) -> None:
    root = part_folders(tmp_path)
    draw(root / "p00" / "C1.png", size=(16, 20), value=10)
    Image.fromarray(np.full((16, 16), 40_000, np.uint16)).save(root / "p01" / "C2.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 16), (9, 9, 9)).save(root / "p02" / "C1.png", exif=exif)
    found = inspect_data(root)
    assert any(
        "view C1 has images of several sizes: 16x16 (23), 20x16 (1)" in t for t in texts(found, "warning")
    )
    assert any(t.startswith("orientation: 1 images are turned") for t in texts(found, "warning"))
    (depth,) = texts(found, "failed")
    assert depth.startswith("depths: images are of different depth: 47 with 8 bits such as ")
    assert f"1 with 16 bits such as {root / 'p01' / 'C2.png'}" in depth
    assert {view.view: view.bits for view in found.views} == {"C1": {8: 24}, "C2": {8: 23, 16: 1}}


def test_deep_images_that_leave_bits_unused_are_told(tmp_path: Path) -> None:
    for number in range(3):
        folder = tmp_path / f"p{number}"
        folder.mkdir()
        Image.fromarray(np.full((16, 16), 3000 + number, np.uint16)).save(folder / "C1.png")
    assert any("is this 12-bit data?" in text for text in texts(inspect_data(tmp_path), "failed"))


def test_the_same_images_under_two_names_are_told(tmp_path: Path) -> None:
    root = part_folders(tmp_path / "parts")
    shutil.copytree(root / "p00", root / "p90")
    shutil.copy(root / "p01" / "C1.png", root / "p02" / "C1.png")  # one view alone is no duplicate
    (duplicate,) = (text for text in texts(inspect_data(root), "warning") if text.startswith("duplicates"))
    assert duplicate == "duplicates: p00, p90: the same images in all views; keep one of them"
    split = mvtec(tmp_path / "nut")
    shutil.copy(split / "train" / "good" / "3.png", split / "test" / "good" / "7.png")
    (finding,) = (finding for finding in inspect_data(split).findings if finding.name == "duplicates")
    assert finding.grave
    assert finding.text.startswith(
        "train/good/3, test/good/7: the same images in all views; learned from and"
    )


def test_names_that_differ_in_capitals_or_accents_are_told(tmp_path: Path) -> None:
    for number, name in enumerate(("Düse", "Du\u0308se", "nut", "NUT")):
        draw(tmp_path / name / "C1.png", value=10 + number)
    names = [text for text in texts(inspect_data(tmp_path), "warning") if text.startswith("names")]
    assert len(names) == 2
    assert all("differ in capitals or accents only" in text for text in names)


def test_a_folder_that_could_be_two_layouts_says_both(tmp_path: Path) -> None:
    manta(tmp_path / "made", train=24)
    root = tmp_path / "line7"
    shutil.move(tmp_path / "made" / "mechanics" / "nut", root)
    found = inspect_data(root)
    assert (found.layout, dict(found.others)) == ("mvtec_ad", {"manta": "MANTA"})
    (text,) = (text for text in texts(found, "warning") if text.startswith("layout"))
    assert "--layout manta here, and data.layout: manta in the recipe" in text
    assert "layout: mvtec_ad" in found.block.as_yaml()
    chosen = inspect_data(root, InspectionChoices(layout="manta"))
    assert (chosen.layout, dict(chosen.others)) == ("manta", {})
    assert "  layout: manta\n  views: [V1, V2, V3, V4, V5]" in chosen.block.as_yaml()
    assert [view.sizes for view in chosen.views] == [{"16x16": 28}] * 5


def test_annotations_over_labelled_folders_are_two_layouts(tmp_path: Path) -> None:
    for label in ("good", "dent"):
        draw(tmp_path / label / "p1" / "C1.png", value=len(label) * 10)
    write_coco(
        tmp_path / "result.json",
        [coco_image(0, "dent/p1/C1.png"), coco_image(1, "good/p1/C1.png")],
        [{"image_id": 0, "category_id": 1, "segmentation": [polygon()]}],
    )
    found = inspect_data(tmp_path)
    assert (found.layout, set(found.others)) == ("labelled_folders", {"coco"})


def test_images_without_annotations_ask_for_a_word_in_the_recipe(tmp_path: Path) -> None:
    draw(*(tmp_path / "images" / f"{n}.png" for n in range(3)))
    images = [coco_image(n, f"images/{n}.png") for n in range(3)]
    write_coco(
        tmp_path / "result.json", images, [{"image_id": 0, "category_id": 1, "segmentation": [polygon()]}]
    )
    found = inspect_data(tmp_path)
    assert found.labels == {"scratch": 1, "unknown": 2}
    assert any(text.startswith("annotations: 2 parts have no annotation") for text in texts(found, "warning"))
    assert "  unannotated: normal  # 2 parts have no annotation; left_out: nobody has looked" in (
        found.block.as_yaml()
    )


def test_defective_parts_where_only_some_or_none_have_masks(tmp_path: Path) -> None:
    root = mvtec(tmp_path)
    shutil.rmtree(root / "ground_truth")
    assert any(
        "none of the 2 defective parts has a mask" in text for text in texts(inspect_data(root), "warning")
    )


def test_a_folder_for_testing_alone_is_no_failure(tmp_path: Path) -> None:
    root = mvtec(tmp_path)
    shutil.rmtree(root / "train" / "good")
    (root / "train" / "good").mkdir()
    found = inspect_data(root)
    assert found.ok
    assert any("no normal parts to train on" in text for text in texts(found, "warning"))


def test_empty_and_unknown_folders_name_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(DataError, match="holds no parts in any layout that is known") as caught:
        inspect_data(tmp_path)
    assert "VisA (visa): OBJECT/Data/Images/Normal/, split_csv/1cls.csv" in caught.value.problems
    with pytest.raises(DataError, match="no such folder"):
        inspect_data(tmp_path / "none")


def test_a_folder_one_too_high_archives_and_other_formats_are_explained(tmp_path: Path) -> None:
    mvtec(tmp_path / "downloads" / "nut", train=1)
    draw(tmp_path / "photo.png")
    (tmp_path / "VisA_20220922.tar").write_bytes(b"archive")
    (tmp_path / "annotations.xml").write_text("<?xml version='1.0'?>\n<annotations><version>1.1</version>")
    with pytest.raises(DataError) as caught:
        inspect_data(tmp_path)
    told = caught.value.problems
    assert told[0] == f"{tmp_path / 'downloads'} below it holds MVTec AD; give that folder"
    assert any(text.startswith("it holds 1 image(s) itself, such as photo.png; put those") for text in told)
    assert "it holds archives, such as VisA_20220922.tar; unpack them first" in told
    assert "annotations.xml is CVAT's own format; export as 'COCO 1.0', with images" in told


def test_many_problems_end_in_their_number(tmp_path: Path) -> None:
    root = part_folders(tmp_path, 30)
    for number in range(30):
        (root / f"p{number:02d}" / "C1.png").write_bytes(b"no image")
    failed = texts(inspect_data(root), "failed")
    assert len(failed) == 21
    assert failed[-1] == "images: and 10 more problems"


def test_names_that_speak_to_a_terminal_are_told_in_plain_letters(tmp_path: Path) -> None:
    root = part_folders(tmp_path)
    folder = root / "p\x1b[2J"
    draw(folder / "C1.png")
    (folder / "C2.png").write_bytes(b"no image")
    found = inspect_data(root)
    assert any("p\\x1b[2J/C2.png: not an image" in text for text in texts(found, "failed"))
    assert not any("\x1b" in finding.text for finding in found.findings)
