"""Label Studio's own JSON: every kind of mark, and what nobody has looked at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.contracts.datasets.annotated.brush_strokes import decode_brush
from edgeflow.contracts.datasets.find_parts import find_parts, look_for_parts
from edgeflow.contracts.datasets.layouts import PartsRequest
from edgeflow.contracts.image_files.mask_sources import read_defect_mask
from edgeflow.errors import DataError
from tests.support.data_sets import draw, marked

# The rectangle of ``marked`` as label_studio_sdk 2.1 encodes red pixels there.
BRUSH = [
    0, 0, 4, 0, 57, 27, 254, 143, 0, 3, 254, 16, 8, 127, 225, 0, 135, 254, 16, 8,
    127, 225, 0, 3, 255, 23, 128, 1, 255, 8, 4, 63, 240, 128, 67, 255, 8, 4, 63, 240,
    128, 1, 255, 139, 192, 0, 255, 132, 2, 31, 248, 64, 33, 255, 132, 2, 31, 248, 64, 0,
    255, 224, 91, 224, 0,
]  # fmt: skip
CORNERS = [[25, 12.5], [50, 12.5], [50, 31.25], [25, 31.25]]


def mark(kind: str, labels: list[str], **value: Any) -> dict[str, Any]:
    return {"type": kind, "original_width": 16, "original_height": 16, "value": {kind: labels, **value}}


def brush(labels: list[str], numbers: list[int] = BRUSH) -> dict[str, Any]:
    return mark("brushlabels", labels, format="rle", rle=numbers)


def annotated(*results: dict[str, Any], cancelled: bool = False) -> list[dict[str, Any]]:
    return [{"was_cancelled": cancelled, "result": list(results)}]


def export(root: Path, images: dict[str, list[dict[str, Any]]]) -> Path:
    draw(*(root / "images" / f"{name}.png" for name in images))
    tasks = [
        {"id": n, "data": {"image": f"/data/upload/1/0a1b2c3d-{name}.png"}, "annotations": annotations}
        for n, (name, annotations) in enumerate(images.items())
    ]
    (root / "project-1-at-2026-11-29.json").write_text(json.dumps(tasks))
    return root


def test_strokes_polygons_and_choices_are_read(tmp_path: Path) -> None:
    polygon = mark("polygonlabels", ["dent"], points=CORNERS, closed=True)
    rectangle = mark("rectanglelabels", ["dent"], x=25, y=12.5, width=25, height=18.75)
    root = export(
        tmp_path,
        {
            "stroke": annotated(brush(["scratch"])),
            "polygon": annotated(polygon),
            "both": annotated(polygon, brush(["dent"])),
            "box": annotated(rectangle),
            "good": annotated(mark("choices", ["OK"])),
            "submitted": annotated(),
            "skipped": annotated(cancelled=True),
            "unseen": [],
            "rated": annotated({"type": "rating", "value": {"rating": 3}}, brush(["scratch"])),
        },
    )
    found = look_for_parts(root, PartsRequest())
    assert (found.layout, found.problems) == ("coco", ())
    parts = {part.part_id.removeprefix("images/"): part for part in found.parts}
    assert {name: (part.label, part.unannotated) for name, part in parts.items()} == {
        "stroke": ("scratch", False),
        "polygon": ("dent", False),
        "both": ("dent", False),
        "box": ("dent", False),
        "good": ("OK", False),
        "submitted": ("OK", False),
        "skipped": (None, True),
        "unseen": (None, True),
        "rated": ("scratch", False),
    }
    for name in ("stroke", "polygon", "both", "rated"):
        mask = parts[name].masks["image"]
        assert mask is not None
        np.testing.assert_array_equal(read_defect_mask(mask), marked())
    assert parts["box"].masks == {}
    assert any("1 part(s) have defects with a box and no mask" in note for note in found.notes)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (brush(["scratch"], BRUSH[:-20]), "a brush stroke that is cut off"),
        (brush(["scratch"], [255, *BRUSH[1:]]), "values, and not the 1024 of its image"),
        (brush(["scratch"], [*BRUSH[:8], 999]), "a mark in a.png: "),
        (mark("brushlabels", ["scratch"], format="png"), "is no run lengths"),
        (brush([]), "has no label"),
        (mark("polygonlabels", ["dent"], points=[[1, 2], [3, 4]]), "three corners or more"),
        (mark("polygonlabels", ["dent"], points="x"), "a mark in a.png: "),
        (
            {**mark("polygonlabels", ["dent"], points=CORNERS), "original_width": None},
            "how large its image is",
        ),
        ({**brush(["dent"]), "original_width": 32}, "is for 32x16 pixels, its image has 16x16"),
        ({**mark("polygonlabels", ["dent"], points=CORNERS), "image_rotation": 90}, "was turned"),
    ],
)
def test_a_mark_that_cannot_be_used_is_named(tmp_path: Path, result: dict[str, Any], words: str) -> None:
    root = export(tmp_path, {"a": annotated(result)})
    found = look_for_parts(root, PartsRequest())
    told = list(found.problems)
    for mask in (mask for part in found.parts for mask in part.masks.values() if mask is not None):
        with pytest.raises(DataError) as caught:
            read_defect_mask(mask)
        told.append(caught.value.message)
    assert any(words in text.replace("0a1b2c3d-", "").replace("/data/upload/1/", "") for text in told), told


def test_tasks_without_an_image_are_named(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png")
    tasks = [{"data": {"text": 3}, "annotations": []}, 7, {"data": {"picture": "a.png"}, "annotations": []}]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    found = look_for_parts(tmp_path, PartsRequest())
    assert len(found.parts) == 1
    assert [problem.partition(": ")[2][:27] for problem in found.problems] == [
        "task 0 names no image; expo",
        "task 1 names no image; expo",
    ]


def test_pixels_beside_each_other_with_values_of_their_own_are_read() -> None:
    """A run whose values differ: 1 by 2 pixels of one bit each word, written by hand."""
    bits = (
        f"{8:032b}" + f"{7:05b}" + f"{2:04b}" * 4  # eight values, words of 8 bits, lengths of 3 bits
        + "0" + "00" + f"{7:03b}" + "".join(f"{value:08b}" for value in (9, 9, 9, 0, 0, 0, 0, 1))
    )  # fmt: skip
    packed = int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")
    np.testing.assert_array_equal(decode_brush(packed, (1, 2)), [[False, True]])


def test_images_beside_cvats_own_format_are_refused_and_not_taken_for_normal(tmp_path: Path) -> None:
    draw(tmp_path / "images" / "a.png", tmp_path / "images" / "b.png")
    (tmp_path / "annotations.xml").write_text(
        "<?xml version='1.0'?>\n<annotations>\n<version>1.1</version>\n</annotations>"
    )
    with pytest.raises(
        DataError, match=r"annotations\.xml: is CVAT's own format.*export the task as 'COCO 1\.0'"
    ):
        find_parts(tmp_path)
    assert len(find_parts(tmp_path, layout="part_folders")) == 1
