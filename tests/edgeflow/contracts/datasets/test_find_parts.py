"""Recorded parts on disk: found whole, or every broken one named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edgeflow.contracts.datasets.evidence_folders import require_good_evidence
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.errors import DataError


def touch(root: Path, *names: str) -> None:
    """Image files at these relative paths."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(root / name)


def problems(root: Path, **options: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        find_parts(root, **options)
    assert caught.value.message.startswith(str(root))
    return list(caught.value.problems)


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
    with pytest.raises(DataError, match=r"holds no parts; lay them out in one of these ways"):
        find_parts(tmp_path)


def test_folders_by_split_and_label_are_test_parts_with_labels_and_masks(tmp_path: Path) -> None:
    for part in ("train/a", "train/good/b", "test/good/c", "test/scratch/d", "test/scratch/e"):
        touch(tmp_path, f"{part}/top.png", f"{part}/left.png")
    touch(tmp_path, "ground_truth/scratch/d/left_mask.png")
    parts = {part.part_id: part for part in find_parts(tmp_path)}
    assert {name: (part.split, part.label) for name, part in parts.items()} == {
        "train/a": ("train", "OK"),
        "train/good/b": ("train", "OK"),
        "test/good/c": ("test", "OK"),
        "test/scratch/d": ("test", "scratch"),
        "test/scratch/e": ("test", "scratch"),
    }
    assert parts["test/scratch/d"].masks == {
        "left": tmp_path / "ground_truth/scratch/d/left_mask.png",
        "top": None,
    }
    assert parts["test/scratch/e"].masks == {}
    assert parts["test/good/c"].masks == {"left": None, "top": None}


def test_evidence_that_was_sorted_by_label_is_read_without_its_heat_maps(tmp_path: Path) -> None:
    for part in ("OK/s-1", "dent/s-2"):
        touch(tmp_path, f"{part}/top.png", f"{part}/top_heat.png")
        (tmp_path / part / "result.json").write_text("{}")
    parts = find_parts(tmp_path)
    assert [(part.part_id, part.label, list(part.images)) for part in parts] == [
        ("OK/s-1", "OK", ["top"]),
        ("dent/s-2", "dent", ["top"]),
    ]


def evidence(root: Path, folder: str, verdict: str, *views: str) -> None:
    """A part's folder as a box writes it, with an overlay for every view."""
    touch(root, *(f"{folder}/{view}{end}.png" for view in views for end in ("", "_heat")))
    name = folder.rpartition("/")[2]
    result = {
        "schema": "edgeflow/result/1",
        "result_id": name,
        "verdict": verdict,
        "views": [{"id": view} for view in views],
    }
    (root / folder / "result.json").write_text(json.dumps(result))
    (root / folder / "evidence.json").write_text(json.dumps({"schema": "edgeflow/evidence/1"}))


@pytest.mark.parametrize("given", [".", "2026-11-28"])
def test_evidence_as_it_lies_has_the_cameras_images_only_and_the_verdict_of_the_box(
    tmp_path: Path, given: str
) -> None:
    evidence(tmp_path, "2026-11-28/s-1", "NG", "left", "top")
    evidence(tmp_path, "2026-11-28/s-2", "OK", "left", "top")
    (tmp_path / ".edgeflow-run-time.json").write_text("{}")
    prefix = "" if given != "." else "2026-11-28/"
    assert [
        (part.part_id, part.verdict, part.label, list(part.images)) for part in find_parts(tmp_path / given)
    ] == [
        (f"{prefix}s-1", "NG", None, ["left", "top"]),
        (f"{prefix}s-2", "OK", None, ["left", "top"]),
    ]


def test_evidence_of_several_days_and_parts_beside_it_are_all_found(tmp_path: Path) -> None:
    evidence(tmp_path, "2026-11-29/s-2", "OK", "top")
    evidence(tmp_path, "2026-11-28/s-1", "OK", "top")
    touch(tmp_path, "kept/top.png")
    found = [(part.part_id, part.verdict) for part in find_parts(tmp_path)]
    assert found == [("kept", None), ("2026-11-28/s-1", "OK"), ("2026-11-29/s-2", "OK")]


def test_a_view_may_be_called_heat(tmp_path: Path) -> None:
    evidence(tmp_path, "2026-11-28/s-1", "OK", "pre_heat")
    touch(tmp_path, "other/pre_heat.png")
    assert [list(part.images) for part in find_parts(tmp_path)] == [["pre_heat"], ["pre_heat"]]


def test_evidence_that_nobody_sorted_is_no_normal_part_by_name_and_verdict(tmp_path: Path) -> None:
    for number, verdict in enumerate(("OK", "NG", "UNDECIDED"), 1):
        evidence(tmp_path, f"2026-11-28/s-{number}", verdict, "top")
    (tmp_path / "2026-11-28/s-1/note.txt").touch()
    evidence(tmp_path, "2026-11-28/s-4", "OK", "top")
    (tmp_path / "2026-11-28/s-4/result.json").write_text("{damaged")
    with pytest.raises(DataError, match="nobody has said that they are good") as caught:
        require_good_evidence(find_parts(tmp_path))
    assert caught.value.problems == (
        "part 2026-11-28/s-2: the box judged it NG",
        "part 2026-11-28/s-3: the box judged it UNDECIDED",
        "part 2026-11-28/s-4: the box judged it otherwise than its record can tell",
    )


def test_evidence_among_parts_for_training_keeps_its_verdict_until_it_is_called_good(tmp_path: Path) -> None:
    evidence(tmp_path, "train/s-1", "NG", "top")
    evidence(tmp_path, "train/good/s-2", "NG", "top")
    touch(tmp_path, "test/good/a/top.png")
    verdicts = {part.part_id: part.verdict for part in find_parts(tmp_path)}
    assert verdicts == {"train/s-1": "NG", "train/good/s-2": None, "test/good/a": None}


def test_a_day_of_evidence_is_no_kind_of_defect(tmp_path: Path) -> None:
    evidence(tmp_path, "good/s-1", "OK", "top")
    evidence(tmp_path, "2026-11-28/s-2", "OK", "top")
    (problem,) = problems(tmp_path)
    assert problem.startswith("2026-11-28 holds evidence that nobody has sorted; move its parts into good/")
    (tmp_path / "2026-11-28").rename(tmp_path / "scratch")
    assert [part.label for part in find_parts(tmp_path)] == ["OK", "scratch"]


def test_somebody_else_s_result_file_makes_no_evidence(tmp_path: Path) -> None:
    touch(tmp_path, "a/top.png")
    (tmp_path / "a/result.json").write_text('{"verdict": "NG"}')
    require_good_evidence(find_parts(tmp_path))


def test_heat_maps_of_score_are_no_parts(tmp_path: Path) -> None:
    touch(tmp_path, "a/top.png")
    (tmp_path / "a/maps.npz").touch()
    with pytest.raises(DataError, match="give the folder of the parts that were scored"):
        find_parts(tmp_path)


def test_single_images_by_label_stay_the_layout_of_mvtec(tmp_path: Path) -> None:
    touch(tmp_path, "train/good/0.png", "test/good/1.png", "test/hole/2.png")
    assert {part.part_id for part in find_parts(tmp_path)} == {"train/good/0", "test/good/1", "test/hole/2"}


def test_incomplete_parts_are_found_where_they_are_asked_for(tmp_path: Path) -> None:
    touch(tmp_path, "a/top.png", "a/left.png", "b/top.png")
    assert problems(tmp_path, views=("top", "left")) == ["part b: missing view left"]
    found = find_parts(tmp_path, views=("top", "left"), incomplete=True)
    assert [part.part_id for part in found] == ["a", "b"]


def test_folders_by_label_that_hold_images_are_told_from_parts(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{label}/{number}.png" for label in ("Good", "scratch") for number in range(3)))
    with pytest.raises(
        DataError, match=r"Good/ holds images itself.*train/good/, test/good/ and test/DEFECT/"
    ):
        find_parts(tmp_path)
    assert len(find_parts(tmp_path, views=("0", "1", "2"))) == 2  # said to be parts
