"""Names that other systems give to files and folders, and files that they put beside ours."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.documents.file_names import as_text, file_name, is_foreign
from edgeflow.errors import DataError

VIEWS = ("C1", "C2", "C3")
APPLE_DOUBLE = b"\0\5\26\7\0\2\0\0Mac OS X"


def image(path: Path, suffix: str = ".png") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(f"{path}{suffix}", "PNG")


def folders(root: Path, names: list[str], images: tuple[str, ...] | list[str] = VIEWS) -> Path:
    for name in names:
        for view in images:
            image(root / name / view)
    return root


def test_names_that_are_not_utf8_become_text(tmp_path: Path) -> None:
    latin = os.fsdecode(b"St\xfcck-1")
    folders(tmp_path, [latin, "Stück-2", "a\nb"])
    ids = [part.part_id for part in find_parts(tmp_path)]
    assert sorted(ids) == ["St\\xfcck-1", "Stück-2", "a\\x0ab"]
    for part_id in ids:
        assert part_id.encode().decode() == part_id
        assert part_id.isprintable()
    assert as_text(os.fsdecode(b"\x1b[2J\x7f\xc2\x9b")) == "\\x1b[2J\\x7f\\x9b"


@pytest.mark.parametrize(
    "junk", ["__MACOSX", "@eaDir", ".Trashes", "$RECYCLE.BIN", "System Volume Information"]
)
def test_folders_of_operating_systems_are_no_parts(tmp_path: Path, junk: str) -> None:
    folders(tmp_path, ["p1", "p2"])
    image(tmp_path / junk / "C1")
    assert [part.part_id for part in find_parts(tmp_path)] == ["p1", "p2"]


def test_hidden_files_beside_images_are_passed_over_in_every_layout(tmp_path: Path) -> None:
    plain = folders(tmp_path / "plain", ["p1", "p2"])
    mvtec = tmp_path / "mvtec"
    image(mvtec / "train" / "good" / "0")
    image(mvtec / "test" / "crack" / "0")
    image(mvtec / "ground_truth" / "crack" / "0_mask")
    for root in (plain, mvtec):
        for file in list(root.rglob("*.png")):
            file.with_name(f"._{file.name}").write_bytes(APPLE_DOUBLE)
    assert [tuple(part.images) for part in find_parts(plain)] == [VIEWS, VIEWS]
    assert [part.part_id for part in find_parts(mvtec)] == ["train/good/0", "test/crack/0"]


def real_iad(root: Path, *, separator: str, count: int = 2) -> Path:
    entries = []
    for number in range(count):
        for view in VIEWS:
            relative = f"OK/S{number}/w_{number}_OK_{view}_x"
            image(root / "w" / relative)
            path = f"{relative}.png".replace("/", separator)
            entries.append({"category": "w", "anomaly_class": "OK", "image_path": path, "mask_path": None})
    description = {"meta": {"normal_class": "OK", "prefix": f"w{separator}"}, "train": entries, "test": []}
    jsons = root / "realiad_jsons"
    jsons.mkdir(parents=True)
    (jsons / "w.json").write_text(json.dumps(description))
    (jsons / "._w.json").write_bytes(APPLE_DOUBLE)
    return root


def test_a_description_written_on_windows_is_understood(tmp_path: Path) -> None:
    windows = find_parts(real_iad(tmp_path / "windows", separator="\\"))
    posix = find_parts(real_iad(tmp_path / "posix", separator="/"))
    assert [part.part_id for part in windows] == [part.part_id for part in posix] == ["OK/S0", "OK/S1"]
    assert [tuple(part.images) for part in windows] == [VIEWS, VIEWS]


@pytest.mark.parametrize("path", ["..\\w.png", "C:\\w.png", "\\w.png", "a\\..\\..\\w.png"])
def test_a_description_leads_nowhere_else_with_backslashes_either(tmp_path: Path, path: str) -> None:
    root = real_iad(tmp_path, separator="/")
    file = root / "realiad_jsons" / "w.json"
    document = json.loads(file.read_text())
    document["train"][0]["image_path"] = path
    file.write_text(json.dumps(document))
    with pytest.raises(DataError, match="not a Real-IAD description"):
        find_parts(root)


@pytest.mark.parametrize("view", ["top view", "顶部", "v" * 80, "-top", "obere#", "+top", "a\tb"])
def test_a_view_name_that_can_be_no_topic_is_told_once_for_all_parts(tmp_path: Path, view: str) -> None:
    folders(tmp_path, ["p1", "p2", "p3"], [view, "left", "right side"])
    with pytest.raises(DataError, match="2 problem") as caught:
        find_parts(tmp_path)
    assert any(
        problem.startswith(f"view '{as_text(view)}' (of 3 parts): expected a name of up to 64")
        for problem in caught.value.problems
    )
    assert all(problem.endswith("rename the files") for problem in caught.value.problems)


def test_views_that_are_not_wanted_may_have_any_name(tmp_path: Path) -> None:
    folders(tmp_path, ["p1", "p2"], ["left", "top view"])
    assert len(find_parts(tmp_path, views=("left",))) == 2


CAMERAS = {
    "numbered": ([f"cam{n}" for n in range(8)], [f"p{n:03d}" for n in range(12)]),
    "few images": (["Camera 1", "Camera 2", "Camera 3"], ["first", "second"]),
    "sides": (["top", "left", "right"], ["part_1", "part_2", "part_3"]),
    "serial numbers": (["40012345", "40012346"], [f"image{n}" for n in range(20)]),
    "time stamps": (["a", "b"], [f"20261128_{n:06d}" for n in range(9)]),
}


@pytest.mark.parametrize("kind", CAMERAS)
def test_one_folder_per_camera_is_refused(tmp_path: Path, kind: str) -> None:
    cameras, images = CAMERAS[kind]
    folders(tmp_path, cameras, images)
    with pytest.raises(DataError, match="each folder looks like a camera"):
        find_parts(tmp_path)


def test_one_folder_per_camera_is_refused_where_views_are_wanted(tmp_path: Path) -> None:
    folders(tmp_path, ["C1", "C2", "C3"], ["a", "b"])
    with pytest.raises(DataError, match=r"each folder looks like a camera.*\(a/C1\)"):
        find_parts(tmp_path, views=VIEWS)


PARTS = {
    "three parts of five cameras": (["p1", "p2", "p3"], [f"C{n}" for n in range(1, 6)]),
    "numbered parts": ([f"{n:06d}" for n in range(20)], ["1", "2", "3"]),
    "parts called c1": ([f"c{n}" for n in range(12)], [f"cam{n}" for n in range(5)]),
    "sides as views": (["a", "b"], ["top", "left"]),
    "eight views of one part": (["p"], [f"v{n}" for n in range(8)]),
}


@pytest.mark.parametrize("kind", PARTS)
def test_one_folder_per_part_is_taken_as_it_is(tmp_path: Path, kind: str) -> None:
    names, views = PARTS[kind]
    folders(tmp_path, names, views)
    assert [part.part_id for part in find_parts(tmp_path)] == names


def test_with_their_views_named_many_numbered_views_are_parts(tmp_path: Path) -> None:
    views = [f"v{n}" for n in range(12)]
    folders(tmp_path, ["p1", "p2"], views)
    assert len(find_parts(tmp_path, views=views)) == 2


def test_a_long_part_id_becomes_a_file_name_that_fits() -> None:
    assert file_name("train/good/1") == "train_good_1"
    long, other = "\\xfc" * 200, "\\xfc" * 199 + "\\xfd"
    assert len(file_name(long).encode()) <= 200
    assert file_name(long) != file_name(other)
    assert file_name("ü" * 100) == "ü" * 100


def test_what_is_hidden_is_foreign() -> None:
    assert is_foreign(Path("a/._C1.png"))
    assert not is_foreign(Path(".a/C1.png"))
