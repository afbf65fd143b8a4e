"""Exports of CVAT and Label Studio: every form of mask, path and subset that these tools write."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeflow.contracts.datasets.find_parts import FoundParts, RecordedPart, find_parts, look_for_parts
from edgeflow.contracts.datasets.layouts import PartsRequest, layout_of
from edgeflow.contracts.image_files.mask_sources import defect_mask_size, read_defect_mask
from edgeflow.errors import DataError
from tests.support.data_sets import coco_image, draw, marked, polygon, write_coco

SCRATCH, DENT, GOOD = 1, 2, 3
# 3 by 4 pixels of a 16 by 16 image, column after column.
RUNS = [4 * 16 + 2, 3, 13, 3, 13, 3, 13, 3, 139]
COMPRESSED = "R23=00000n3"


def annotation(image: int, category: int = SCRATCH, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": [polygon()], "iscrowd": 0, **more}


def look(root: Path, **request: Any) -> FoundParts:
    return look_for_parts(root, PartsRequest(**request))


def by_id(parts: tuple[RecordedPart, ...]) -> dict[str, RecordedPart]:
    return {part.part_id: part for part in parts}


def cvat(root: Path) -> Path:
    """An unpacked "COCO 1.0" of CVAT: three images of the subset 'default', one without annotation."""
    draw(*(root / "images" / "default" / name for name in ("a.png", "b.png", "c.png")))
    write_coco(
        root / "annotations" / "instances_default.json",
        [coco_image(1, "a.png"), coco_image(2, "b.png"), coco_image(3, "c.png")],
        [annotation(1), annotation(2, GOOD)],
    )
    return root


def test_a_cvat_export_has_defective_good_and_unannotated_images(tmp_path: Path) -> None:
    found = look(cvat(tmp_path))
    assert (found.layout, found.problems) == ("coco", ())
    parts = by_id(found.parts)
    assert {name: (part.label, part.split, part.unannotated) for name, part in parts.items()} == {
        "images/default/a": ("scratch", "test", False),
        "images/default/b": ("OK", None, False),
        "images/default/c": (None, None, True),
    }
    mask = parts["images/default/a"].masks["image"]
    assert mask is not None
    assert np.array_equal(read_defect_mask(mask), marked())
    assert parts["images/default/b"].masks == {"image": None}
    assert parts["images/default/c"].masks == {}
    assert "1 defective part(s) outside the subset 'test' are test parts: they never train" in found.notes


@pytest.mark.parametrize(
    "segmentation",
    [
        polygon(),
        [polygon()],
        [[4, 2, 6, 2, 6, 5, 4, 5], [6, 2, 8, 2, 8, 5, 6, 5]],
        {"counts": RUNS, "size": [16, 16]},
        {"counts": COMPRESSED, "size": [16, 16]},
    ],
)
def test_polygons_and_run_lengths_are_one_mask(tmp_path: Path, segmentation: Any) -> None:
    draw(tmp_path / "images" / "a.png")
    write_coco(
        tmp_path / "result.json",
        [coco_image(0, "images/a.png")],
        [annotation(0, segmentation=segmentation, iscrowd=1)],
    )
    (part,) = find_parts(tmp_path)
    mask = part.masks["image"]
    assert mask is not None
    assert np.array_equal(read_defect_mask(mask), marked())


def test_several_annotations_of_one_image_are_joined(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    other = [[10, 10, 12, 10, 12, 11, 10, 11]]
    write_coco(
        tmp_path / "result.json",
        [coco_image(0, "images/a.png")],
        [annotation(0), annotation(0, DENT, segmentation=other)],
    )
    (part,) = find_parts(tmp_path)
    expected = marked()
    expected[10, 10:12] = True
    mask = part.masks["image"]
    assert mask is not None
    assert np.array_equal(read_defect_mask(mask), expected)
    assert part.label == "dent"  # the first by name


@pytest.mark.parametrize(
    "name",
    [
        "images/cb0618f6-a.png",
        "images\\cb0618f6-a.png",
        "..\\..\\label-studio\\media\\upload\\4\\cb0618f6-a.png",
        "/data/upload/4/cb0618f6-a.png",
        "/data/local-files/?d=parts/a.png",
        "s3://bucket/parts/a.png",
        "https://labels.example/data/upload/4/a.png?X-Amz-Expires=1",
        "C:\\Users\\someone\\images\\a.png",
        "A.PNG",
        "../../../etc/a.png",
    ],
)
def test_an_image_is_found_however_its_path_is_written(tmp_path: Path, name: str) -> None:
    draw(tmp_path / "images" / "a.png")
    write_coco(tmp_path / "result.json", [coco_image(0, name)], [annotation(0)])
    (part,) = find_parts(tmp_path)
    assert part.images == {"image": tmp_path / "images" / "a.png"}


def test_the_longer_path_decides_between_files_of_one_name(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "x" / "0.png", tmp_path / "images" / "y" / "0.png")
    images = [coco_image(1, "x/0.png"), coco_image(2, "y/0.png")]
    write_coco(tmp_path / "result.json", images, [annotation(2)])
    labels = {part.part_id: part.label for part in find_parts(tmp_path)}
    assert labels == {"images/x/0": None, "images/y/0": "scratch"}
    write_coco(tmp_path / "result.json", [coco_image(1, "0.png")], [annotation(1)])
    (problem,) = look(tmp_path).problems
    assert "0.png: could be" in problem


def test_subsets_are_splits(tmp_path: Path) -> None:
    for subset, category in (("train", GOOD), ("val", GOOD), ("test", GOOD), ("Test_2", GOOD)):
        draw(tmp_path / "images" / subset / "a.png")
        write_coco(
            tmp_path / "annotations" / f"instances_{subset}.json",
            [coco_image(1, "a.png")],
            [annotation(1, category)],
        )
    assert {part.part_id: part.split for part in find_parts(tmp_path)} == {
        "images/Test_2/a": None,
        "images/test/a": "test",
        "images/train/a": "train",
        "images/val/a": "validation",
    }


def test_a_file_in_each_subsets_folder_is_read(tmp_path: Path) -> None:
    for subset in ("train", "valid"):
        draw(tmp_path / subset / "a.png")
        write_coco(
            tmp_path / subset / "_annotations.coco.json", [coco_image(0, "a.png")], [annotation(0, GOOD)]
        )
    assert {part.part_id: part.split for part in find_parts(tmp_path)} == {
        "train/a": "train",
        "valid/a": "validation",
    }


def test_a_folder_for_each_part_holds_its_views(tmp_path: Path) -> None:
    names = [f"p{part}/C{camera}.png" for part in range(2) for camera in (1, 2)]
    draw(*(tmp_path / "images" / "default" / name for name in names))
    images = [coco_image(number, name) for number, name in enumerate(names)]
    write_coco(
        tmp_path / "annotations" / "instances_default.json", images, [annotation(1), annotation(2, GOOD)]
    )
    found = look(tmp_path)
    parts = by_id(found.parts)
    assert list(parts) == ["images/default/p0", "images/default/p1"]
    first = parts["images/default/p0"]
    assert list(first.images) == ["C1", "C2"]
    assert (first.label, first.masks["C1"]) == ("scratch", None)
    assert first.masks["C2"] is not None
    assert (parts["images/default/p1"].label, parts["images/default/p1"].unannotated) == ("OK", False)
    assert found.notes[0] == "images in one folder are the views of one part"


def test_names_that_end_in_a_camera_are_views(tmp_path: Path) -> None:
    names = [
        f"{n}{n}a{n}b{n}c{n}-p{n // 2}_C{n % 2 + 1}.png" for n in range(4)
    ]  # each with a mark of its upload
    draw(*(tmp_path / "images" / name for name in names))
    write_coco(
        tmp_path / "result.json", [coco_image(n, name) for n, name in enumerate(names)], [annotation(3)]
    )
    parts = by_id(find_parts(tmp_path))
    assert {name: list(part.images) for name, part in parts.items()} == {
        "images/p0": ["C1", "C2"],
        "images/p1": ["C1", "C2"],
    }


def test_views_are_looked_for_by_the_names_that_are_asked_for(tmp_path: Path) -> None:
    names = ["p0-top.png", "p0-side.png", "p1-top.png", "p1-side.png"]
    draw(*(tmp_path / "images" / name for name in names))
    write_coco(
        tmp_path / "result.json", [coco_image(n, name) for n, name in enumerate(names)], [annotation(3)]
    )
    assert {tuple(part.images) for part in find_parts(tmp_path)} == {("image",)}
    parts = find_parts(tmp_path, views=("top", "side"))
    assert [(part.part_id, set(part.images)) for part in parts] == [
        ("images/p0", {"top", "side"}),
        ("images/p1", {"top", "side"}),
    ]


def test_boxes_without_masks_make_a_defective_part_without_masks(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    box = annotation(0, segmentation=[], bbox=[4, 2, 4, 3])
    write_coco(tmp_path / "result.json", [coco_image(0, "images/a.png")], [annotation(0), box])
    found = look(tmp_path)
    assert [(part.label, part.masks) for part in found.parts] == [("scratch", {})]
    assert any("a box and no mask" in note for note in found.notes)


def test_sizes_that_the_export_does_not_say_are_the_images(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    image = {**coco_image(0, "images/a.png"), "width": None, "height": None}
    write_coco(tmp_path / "result.json", [image], [annotation(0)])
    mask = find_parts(tmp_path)[0].masks["image"]
    assert mask is not None
    assert defect_mask_size(mask) == (16, 16)


def test_run_lengths_for_another_size_are_refused_by_name(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    runs = {"counts": [4], "size": [2, 2]}
    write_coco(tmp_path / "result.json", [coco_image(0, "images/a.png")], [annotation(0, segmentation=runs)])
    mask = find_parts(tmp_path)[0].masks["image"]
    assert mask is not None
    with pytest.raises(DataError, match=r"result.json \(image images/a.png\): is for 2x2 pixels, .* 16x16"):
        read_defect_mask(mask)


@pytest.mark.parametrize(
    ("images", "annotations", "problem"),
    [
        ([{"file_name": "a.png"}], [], "a.png has no id"),
        ([{"id": 1}], [], "image 0 has no file_name"),
        (
            [coco_image(1, "a.png")],
            [annotation(9)],
            r"1 annotations are of images that it lacks \(image_id 9\)",
        ),
        ([coco_image(1, "a.png")], [annotation(1, 99)], "annotation 0 of a.png has no known category"),
        ([coco_image(1, "a.png"), coco_image(1, "b.png")], [], "a.png and b.png have one id, 1"),
        ([coco_image(1, "a.png"), coco_image(2, "a.png")], [], "a.png: is in .*; keep one of them"),
        ([coco_image(1, "none.png")], [], "none.png: no such image below"),
        ([coco_image(1, "a.png")], [annotation(1, segmentation=[[1, 2]])], "three corners or more"),
    ],
)
def test_broken_entries_are_named(tmp_path: Path, images: Any, annotations: Any, problem: str) -> None:
    draw(tmp_path / "a.png", tmp_path / "b.png")
    write_coco(tmp_path / "result.json", images, annotations)
    with pytest.raises(DataError, match="problem") as caught:
        find_parts(tmp_path)
    assert any(re.search(problem, text) for text in caught.value.problems)


def test_other_json_files_are_no_export(tmp_path: Path) -> None:
    draw(tmp_path / "p1" / "C1.png", tmp_path / "p2" / "C1.png")
    (tmp_path / "notes.json").write_text(json.dumps({"images": 3, "annotations": []}))
    (tmp_path / "list.json").write_text("[]")
    (tmp_path / "broken.json").write_text('{"images": [')
    write_coco(tmp_path / "captions_default.json", [coco_image(1, "C1.png")], [])
    assert layout_of(tmp_path) == "part_folders"
    assert len(find_parts(tmp_path)) == 2


def test_ids_may_be_text_and_a_byte_order_mark_may_be_there(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    file = tmp_path / "result.json"
    write_coco(file, [{**coco_image(0, "images/a.png"), "id": "7"}], [annotation(7)])
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())
    assert [part.label for part in find_parts(tmp_path)] == ["scratch"]


def test_images_behind_a_link_are_found_and_a_link_upwards_is_not_followed(tmp_path: Path) -> None:
    draw(tmp_path / "disk" / "a.png")
    export = tmp_path / "export"
    export.mkdir()
    (export / "images").symlink_to(tmp_path / "disk")
    (export / "up").symlink_to(export)
    write_coco(export / "result.json", [coco_image(0, "images/a.png")], [annotation(0)])
    (part,) = find_parts(export)
    assert part.images["image"].is_file()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.floats()
    | st.sampled_from(["a.png", "1", "", "://["]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["counts", "size"]), inner),
    max_leaves=6,
)


def entry(*keys: str) -> st.SearchStrategy[Any]:
    return st.one_of(JSON, st.fixed_dictionaries({}, optional=dict.fromkeys(keys, JSON)))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    images=st.lists(entry("id", "file_name", "width", "height"), max_size=4),
    annotations=st.lists(entry("image_id", "category_id", "segmentation"), max_size=4),
    categories=st.lists(entry("id", "name"), max_size=3),
)
def test_whatever_an_export_holds_it_is_read_or_refused_in_words(
    tmp_path: Path, images: Any, annotations: Any, categories: Any
) -> None:
    draw(tmp_path / "a.png")
    document = {"images": images, "annotations": annotations, "categories": categories}
    (tmp_path / "result.json").write_text(json.dumps(document))
    found = look(tmp_path)
    assert found.layout == "coco"
    for part in found.parts:
        for mask in part.masks.values():
            with contextlib.suppress(DataError):
                assert mask is None or read_defect_mask(mask).shape == defect_mask_size(mask)
