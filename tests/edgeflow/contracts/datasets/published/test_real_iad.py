"""Real-IAD on disk: published files are read as they are, and every broken part or entry is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
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


def rewrite(root: Path, change: Callable[[Any], object], *, name: str = "cap") -> None:
    """Change a description."""
    path = root / "realiad_jsons" / f"{name}.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def both(part: str, kind: str = "OK", **more: object) -> list[dict[str, object]]:
    return [entry(part, camera, kind, **more) for camera in ("C1", "C2")]


def problems(root: Path, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        find_parts(root, **options)
    assert caught.value.message.startswith(str(root))
    return list(caught.value.problems)


def by_id(parts: tuple[RecordedPart, ...]) -> dict[str, RecordedPart]:
    return {part.part_id: part for part in parts}


def test_parts_come_with_views_labels_splits_and_masks(tmp_path: Path) -> None:
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


def test_views_are_in_natural_order(tmp_path: Path) -> None:
    cameras = ["C10", "C2", "C1"]
    root = real_iad(tmp_path, train=[entry("S1", camera) for camera in cameras])
    assert list(find_parts(root)[0].images) == ["C1", "C2", "C10"]


def test_another_name_for_normal_is_understood(tmp_path: Path) -> None:
    meta = {"normal_class": "good", "prefix": "cap/"}
    root = real_iad(tmp_path, meta=meta, train=both("S1", "good"), test=both("S2", "pit"))
    assert [part.label for part in find_parts(root)] == ["OK", "pit"]


def test_doubled_and_missing_cameras_are_all_named(tmp_path: Path) -> None:
    train = [*both("S1"), *both("S2"), *both("S3"), entry("S3", "C1"), entry("S4", "C2")]
    assert problems(real_iad(tmp_path, train=train)) == [
        "part OK/S3: view C1 is there twice",
        "part OK/S4: missing view C1",
    ]


def test_missing_files_are_all_named(tmp_path: Path) -> None:
    gone = str(entry("S2", "C2")["image_path"])
    found = problems(real_iad(tmp_path, train=[*both("S1"), *both("S2")], missing=(gone,)))
    assert found == [f"part OK/S2: C2: no such file {tmp_path / 'cap' / gone}"]


def test_a_file_name_without_camera_is_named(tmp_path: Path) -> None:
    odd = entry("S2", "C1", image_path="OK/S2/top.jpg")
    assert "OK/S2/top.jpg: no camera number (_C1_) in the file name" in problems(
        real_iad(tmp_path, train=[*both("S1"), odd])
    )


def test_of_several_classes_one_must_be_chosen(tmp_path: Path) -> None:
    real_iad(tmp_path, name="cap", train=both("S1"))
    real_iad(tmp_path, name="bolt", train=both("S7"))
    with pytest.raises(DataError, match="2 classes, choose one by name; found: bolt, cap"):
        find_parts(tmp_path)
    with pytest.raises(DataError, match="no class 'nut'; found: bolt, cap"):
        find_parts(tmp_path, class_name="nut")
    assert [part.part_id for part in find_parts(tmp_path, class_name="bolt")] == ["OK/S7"]


def test_without_any_description_is_refused(tmp_path: Path) -> None:
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
def test_malformed_description_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "realiad_jsons").mkdir()
    (tmp_path / "realiad_jsons" / "cap.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"cap\.json: not a Real-IAD description: (?!Key|Type|Value)"):
        find_parts(tmp_path)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"anomaly_class": 5}, "test.0.anomaly_class: expected text, got 5 (a number); put it in quotes"),
        ({"anomaly_class": None}, "test.0.anomaly_class: expected text, got nothing"),
        ({"mask_path": 7}, "test.0.mask_path: expected text, got 7 (a number); put it in quotes"),
        ({"image_path": None}, "test.0.image_path: expected text, got nothing"),
        ({"image_path": ["a"]}, "test.0.image_path: expected text, got a list"),
        ({"category": {}}, "test.0.category: expected text, got a section"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named_with_its_place(
    tmp_path: Path, change: dict[str, object], problem: str
) -> None:
    root = real_iad(tmp_path, test=both("S1", "pit"))
    rewrite(root, lambda document: document["test"][0].update(change))
    assert problems(root) == [problem]


@pytest.mark.parametrize(
    "path", ["/etc/x_C1_1.jpg", "../x_C1_1.jpg", "OK/../../x_C1_1.jpg", "C:\\x_C1_1.jpg", "..\\x.jpg"]
)
@pytest.mark.parametrize("key", ["image_path", "mask_path"])
def test_a_path_that_leaves_the_folder_is_refused(tmp_path: Path, key: str, path: str) -> None:
    root = real_iad(tmp_path, test=both("S1", "pit"))
    rewrite(root, lambda document: document["test"][1].update({key: path}))
    (found,) = problems(root)
    assert found.startswith(
        f"test.1.{key}: expected a relative path below the data set's folder, without '..', got"
    )


@pytest.mark.parametrize("prefix", ["/", "..", "cap/../..", 3, None, {"cap": ".."}])
def test_a_prefix_that_leaves_the_folder_or_is_no_text_is_refused(tmp_path: Path, prefix: object) -> None:
    root = real_iad(tmp_path, train=both("S1"))
    rewrite(root, lambda document: document["meta"].update(prefix=prefix))
    (found,) = problems(root)
    assert found.startswith("meta.prefix")


def test_every_malformed_entry_is_named_at_once(tmp_path: Path) -> None:
    root = real_iad(tmp_path, train=both("S1"), test=both("S2"))

    def spoil(document: Any) -> None:
        del document["train"][0]["image_path"]
        document["train"][1]["anomaly_class"] = 1
        document["test"][0] = "x"

    rewrite(root, spoil)
    assert [problem.split(":")[0] for problem in problems(root)] == [
        "train.0.image_path",
        "train.1.anomaly_class",
        "test.0",
    ]


def test_fields_without_a_meaning_here_and_a_byte_order_mark_do_not_matter(tmp_path: Path) -> None:
    root = real_iad(tmp_path, train=both("S1", extra=[1]), version=2)
    path = root / "realiad_jsons" / "cap.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert len(find_parts(root)) == 1


def test_a_part_in_both_splits_is_named(tmp_path: Path) -> None:
    root = real_iad(tmp_path, train=[*both("S1"), *both("S2")], test=both("S2"))
    assert problems(root) == ["part OK/S2: both in train and in test; it can only be one of them"]


def test_views_are_grouped_by_folder_and_camera_whatever_their_order(tmp_path: Path) -> None:
    mixed = [entry(part, camera) for camera in ("C2", "C1") for part in ("S2", "S1")]
    parts = by_id(find_parts(real_iad(tmp_path, train=mixed)))
    assert {part_id: [file.name for file in part.images.values()] for part_id, part in parts.items()} == {
        "OK/S1": ["cap_1_OK_C1_x.jpg", "cap_1_OK_C2_x.jpg"],
        "OK/S2": ["cap_2_OK_C1_x.jpg", "cap_2_OK_C2_x.jpg"],
    }


def test_the_camera_is_a_number_that_may_be_padded_and_stand_last(tmp_path: Path) -> None:
    names = ["C9_cap/S1/C9_cap_1_C3_C01.jpg", "C9_cap/S1/C9_cap_1_C3_C02_7.jpg"]
    root = real_iad(tmp_path, train=[entry("S1", "", image_path=name) for name in names])
    assert list(find_parts(root)[0].images) == ["C1", "C2"]


def several(root: Path, prefix: object, *folders: str) -> Path:
    """One description of the classes cap and bolt, whose images lie below these folders."""
    entries = [
        {**one, "category": name, "image_path": f"{inside}{one['image_path']}"}
        for name, inside in zip(("cap", "bolt"), folders, strict=True)
        for one in both("S1")
    ]
    real_iad(root, name="all", meta={"normal_class": "OK", "prefix": prefix}, train=entries)
    shutil.rmtree(root / "all")
    return root


@pytest.mark.parametrize(
    ("prefix", "folders"),
    [
        ("", ("cap/", "bolt/")),
        ("images/", ("cap/", "bolt/")),
        ("", ("", "")),
        ({"cap": "cap/", "bolt": "bolt/"}, ("", "")),
        ({"cap": "a/", "bolt": "b/"}, ("", "")),
    ],
)
def test_of_several_classes_in_one_file_one_is_chosen(
    tmp_path: Path, prefix: Any, folders: tuple[str, str]
) -> None:
    several(tmp_path, prefix, *folders)
    for name, inside in zip(("cap", "bolt"), folders, strict=True):
        base = prefix[name] if isinstance(prefix, dict) else f"{prefix}{inside or name + '/'}"
        touch(tmp_path, *(f"{base}{one['image_path']}" for one in both("S1")))
        (part,) = find_parts(tmp_path, class_name=name)
        assert part.class_name == name
        assert part.images["C1"] == tmp_path / base / "OK/S1/cap_1_OK_C1_x.jpg"
    with pytest.raises(DataError, match="2 classes, choose one by name; found: bolt, cap"):
        find_parts(tmp_path)
    with pytest.raises(DataError, match="no class 'nut'; found: bolt, cap"):
        find_parts(tmp_path, class_name="nut")


def test_classes_of_all_files_are_listed_and_one_in_two_files_is_refused(tmp_path: Path) -> None:
    several(tmp_path, "", "cap/", "bolt/")
    real_iad(tmp_path, name="nut", train=both("S1"))
    with pytest.raises(DataError, match="3 classes, choose one by name; found: bolt, cap, nut"):
        find_parts(tmp_path)
    assert find_parts(tmp_path, class_name="nut")[0].class_name == "cap"
    shutil.copy(tmp_path / "realiad_jsons" / "all.json", tmp_path / "realiad_jsons" / "more.json")
    with pytest.raises(DataError, match=r"class 'bolt' is in several files: all\.json, more\.json; keep one"):
        find_parts(tmp_path, class_name="bolt")


def test_a_class_without_a_prefix_of_its_own_is_named(tmp_path: Path) -> None:
    several(tmp_path, {"cap": "cap/"}, "", "")
    with pytest.raises(DataError, match=r"meta\.prefix has no entry for class 'bolt'"):
        find_parts(tmp_path, class_name="bolt")


def test_entries_without_a_class_beside_several_classes_are_refused(tmp_path: Path) -> None:
    several(tmp_path, "", "cap/", "bolt/")
    rewrite(tmp_path, lambda document: document["train"][0].pop("category"), name="all")
    with pytest.raises(DataError, match="1 entries have no category, though there are several classes"):
        find_parts(tmp_path, class_name="cap")


def published(root: Path, *sizes: str) -> Path:
    """The published archives unpacked side by side."""
    real_iad(root, train=both("S1"))
    jsons = root / "realiad_jsons" / "realiad_jsons"
    jsons.mkdir()
    (root / "realiad_jsons" / "cap.json").rename(jsons / "cap.json")
    (root / "realiad_jsons" / "realiad_jsons_sv").mkdir()
    for size in sizes:
        shutil.copytree(root / "cap", root / size / "cap")
    shutil.rmtree(root / "cap")
    return root


def test_the_published_archives_are_found_as_they_are_unpacked(tmp_path: Path) -> None:
    root = published(tmp_path, "realiad_1024")
    image = root / "realiad_1024" / "cap" / "OK/S1/cap_1_OK_C1_x.jpg"
    assert find_parts(root)[0].images["C1"] == image
    assert find_parts(root / "realiad_1024")[0].images["C1"] == image


def test_of_several_image_sizes_one_must_be_chosen(tmp_path: Path) -> None:
    root = published(tmp_path, "realiad_1024", "realiad_256")
    with pytest.raises(
        DataError, match="several sizes, choose one of its folders: realiad_1024, realiad_256"
    ):
        find_parts(root)
    images = find_parts(root / "realiad_256")[0].images
    assert images["C1"] == root / "realiad_256" / "cap" / "OK/S1/cap_1_OK_C1_x.jpg"


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


def test_a_class_is_found_however_its_accents_are_spelt(tmp_path: Path) -> None:
    real_iad(tmp_path, name="du\u0308se", train=both("S0001"), test=[])
    assert [part.part_id for part in find_parts(tmp_path, class_name="d\u00fcse")] == ["OK/S0001"]
