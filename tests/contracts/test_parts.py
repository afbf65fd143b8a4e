"""Recorded parts on disk: found whole, or every broken one named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgeflow.contracts.parts import RecordedPart, find_parts
from edgeflow.errors import DataError


def touch(root: Path, *names: str) -> None:
    """Image files at these relative paths."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / name)


def entry(part: str, camera: str, kind: str = "OK", **more: object) -> dict[str, object]:
    number = part.removeprefix("S")
    return {
        "category": "cap",
        "anomaly_class": kind,
        "image_path": f"{kind}/{part}/cap_{number}_{kind}_{camera}_x.jpg",
        "mask_path": None,
        **more,
    }


def real_iad(root: Path, *, name: str = "cap", missing: tuple[str, ...] = (), **splits: Any) -> Path:
    """A Real-IAD folder with the entries of ``train`` and ``test``, and their image files."""
    document = {"meta": {"normal_class": "OK", "prefix": f"{name}/"}, "train": [], "test": [], **splits}
    (root / "realiad_jsons").mkdir(parents=True, exist_ok=True)
    (root / "realiad_jsons" / f"{name}.json").write_text(json.dumps(document))
    paths = [e["image_path"] for e in (*document["train"], *document["test"])]
    touch(root, *(f"{name}/{path}" for path in paths if path not in missing))
    return root


def both(part: str, kind: str = "OK", **more: object) -> list[dict[str, object]]:
    return [entry(part, camera, kind, **more) for camera in ("C1", "C2")]


def problems(root: Path, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        find_parts(root, **options)
    assert caught.value.message.startswith(str(root))
    return list(caught.value.problems)


def by_id(parts: tuple[RecordedPart, ...]) -> dict[str, RecordedPart]:
    return {part.part_id: part for part in parts}


def test_real_iad_parts_come_with_views_labels_splits_and_masks(tmp_path: Path) -> None:
    defect = [entry("S2", "C1", "pit", mask_path="pit/S2/m.png"), entry("S2", "C2", "OK")]
    defect[1]["image_path"] = "pit/S2/cap_2_OK_C2_x.jpg"
    root = real_iad(tmp_path, train=both("S1"), test=defect)
    parts = by_id(find_parts(root))
    assert set(parts) == {"OK/S1", "pit/S2"}
    normal, defective = parts["OK/S1"], parts["pit/S2"]
    assert list(normal.images) == ["C1", "C2"]
    assert normal.images["C1"] == root / "cap" / "OK/S1/cap_1_OK_C1_x.jpg"
    assert (normal.label, normal.split, normal.defective) == ("OK", "train", False)
    assert (defective.label, defective.split, defective.defective) == ("pit", "test", True)
    assert defective.masks == {"C1": root / "cap" / "pit/S2/m.png", "C2": None}


def test_real_iad_views_are_in_natural_order(tmp_path: Path) -> None:
    cameras = ["C10", "C2", "C1"]
    root = real_iad(tmp_path, train=[entry("S1", camera) for camera in cameras])
    assert list(find_parts(root)[0].images) == ["C1", "C2", "C10"]


def test_real_iad_another_name_for_normal_is_understood(tmp_path: Path) -> None:
    meta = {"normal_class": "good", "prefix": "cap/"}
    root = real_iad(tmp_path, meta=meta, train=both("S1", "good"), test=both("S2", "pit"))
    assert [part.label for part in find_parts(root)] == ["OK", "pit"]


def test_real_iad_doubled_and_missing_cameras_are_all_named(tmp_path: Path) -> None:
    train = [*both("S1"), *both("S2"), *both("S3"), entry("S3", "C1"), entry("S4", "C2")]
    assert problems(real_iad(tmp_path, train=train)) == [
        "part OK/S3: view C1 is there twice",
        "part OK/S4: missing view C1",
    ]


def test_real_iad_missing_files_are_all_named(tmp_path: Path) -> None:
    gone = str(entry("S2", "C2")["image_path"])
    found = problems(real_iad(tmp_path, train=[*both("S1"), *both("S2")], missing=(gone,)))
    assert found == [f"part OK/S2: C2: no such file {tmp_path / 'cap' / gone}"]


def test_real_iad_a_file_name_without_camera_is_named(tmp_path: Path) -> None:
    odd = entry("S2", "C1", image_path="OK/S2/top.jpg")
    assert "OK/S2/top.jpg: no camera number (_C1_) in the file name" in problems(
        real_iad(tmp_path, train=[*both("S1"), odd])
    )


def test_real_iad_of_several_classes_one_must_be_chosen(tmp_path: Path) -> None:
    real_iad(tmp_path, name="cap", train=both("S1"))
    real_iad(tmp_path, name="bolt", train=both("S7"))
    with pytest.raises(DataError, match="2 classes, choose one by name; found: bolt, cap"):
        find_parts(tmp_path)
    with pytest.raises(DataError, match="no class 'nut'; found: bolt, cap"):
        find_parts(tmp_path, class_name="nut")
    assert [part.part_id for part in find_parts(tmp_path, class_name="bolt")] == ["OK/S7"]


def test_real_iad_without_any_description_is_refused(tmp_path: Path) -> None:
    (tmp_path / "realiad_jsons").mkdir()
    with pytest.raises(DataError, match=r"realiad_jsons: no <class>\.json in it"):
        find_parts(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"meta": []}', '{"meta": {"normal_class": "OK"}}', "[" * 100_000, "\xff",
     '{"meta": {"normal_class": "OK", "prefix": ""}, "train": []}',
     '{"meta": {"normal_class": "OK", "prefix": ""}, "train": null, "test": []}',
     '{"meta": {"normal_class": "OK", "prefix": ""}, "train": ["x"], "test": []}',
     '{"meta": {"normal_class": "OK", "prefix": ""}, "train": [{"image_path": 5}], "test": []}'],
)  # fmt: skip
def test_real_iad_malformed_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "realiad_jsons").mkdir()
    (tmp_path / "realiad_jsons" / "cap.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"cap\.json: not a Real-IAD description: (?!Key|Type|Value)"):
        find_parts(tmp_path)


def test_real_iad_odd_labels_and_masks_are_taken_as_text(tmp_path: Path) -> None:
    odd = both("S1", "pit")
    for one in odd:
        one |= {"anomaly_class": 5, "mask_path": 7}
    (part,) = find_parts(real_iad(tmp_path, test=odd))
    assert part.label == "5"


def test_a_folder_per_part_gives_views_named_after_the_files(tmp_path: Path) -> None:
    touch(tmp_path, "part10/top.png", "part10/left.jpg", "part2/left.jpg", "part2/top.png")
    (tmp_path / "part2" / "notes.txt").write_text("not an image")
    (tmp_path / "empty").mkdir()
    (tmp_path / "readme.txt").write_text("not a part")
    parts = find_parts(tmp_path)
    assert [part.part_id for part in parts] == ["part2", "part10"]
    assert list(parts[0].images) == ["left", "top"]
    assert parts[0].images["top"] == tmp_path / "part2" / "top.png"
    assert (parts[0].label, parts[0].split, parts[0].defective) == (None, None, None)


def test_part_names_with_unusual_digits_are_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "part²/top.png", "part1/top.png", "part٣/top.png")
    assert len(find_parts(tmp_path)) == 3


def test_a_folder_per_part_names_doubled_missing_and_surplus_views(tmp_path: Path) -> None:
    touch(tmp_path, *(f"p{n}/{view}.png" for n in (1, 2) for view in ("left", "top")))
    touch(tmp_path, "p3/left.png", "p4/left.png", "p4/top.png", "p4/top.jpg", "p5/left.png", "p5/top.png")
    touch(tmp_path, "p5/under.png")
    assert problems(tmp_path) == [
        "part p4: view top is there twice",
        "part p3: missing view top",
        "part p5: view under, which most parts have not",
    ]


def test_with_views_given_others_do_not_matter(tmp_path: Path) -> None:
    touch(tmp_path, "p1/left.png", "p1/top.png", "p2/top.png")
    assert len(find_parts(tmp_path, views=("top",))) == 2
    assert problems(tmp_path, views=("top", "left")) == ["part p2: missing view left"]


def test_no_folder_and_no_parts_say_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none: no such folder; give the folder that holds"):
        find_parts(tmp_path / "none")
    with pytest.raises(
        DataError, match=r"holds no parts; expected realiad_jsons/<class>\.json, or one folder"
    ):
        find_parts(tmp_path)


def test_real_recordings_are_found_whole(shared: Path) -> None:
    root = shared / "data" / "tiles"
    if not root.is_dir():
        pytest.skip(f"no {root}")
    description = json.loads((root / "realiad_jsons" / "tile.json").read_text())
    parts = find_parts(root)
    assert sum(len(part.images) for part in parts) == sum(len(description[s]) for s in ("train", "test"))
    assert {tuple(part.images) for part in parts} == {("C1", "C2", "C3", "C4", "C5")}
    assert {part.split for part in parts if part.defective} == {"test"}
    masked = [part for part in parts if any(part.masks.values())]
    assert masked
    assert all(part.defective for part in masked)
    assert all(mask.is_file() for part in masked for mask in part.masks.values() if mask)
