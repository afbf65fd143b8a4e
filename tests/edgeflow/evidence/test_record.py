"""The record of a part's folder is read as it was written; everything else is no evidence of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeflow.contracts.messages import Result, from_json
from edgeflow.evidence.record import EvidenceRecord, folder_name, read_record, record_text

SAMPLE = from_json(Result, (Path(__file__).parents[2] / "samples" / "result.json").read_bytes())
RECORD = {"schema": "edgeflow/evidence/1", "result_id": "r-1", "run_s": 2.5, "files": {"top.png": 7}}


def read(tmp_path: Path, document: Any, *, file: str = "evidence.json") -> EvidenceRecord | None:
    folder = tmp_path / "r-1"
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(json.dumps(document))
    return read_record(folder)


def test_the_record_says_which_part_box_and_station_it_is_of() -> None:
    result = SAMPLE.model_copy(
        update={"part_id": "Träger 7", "site": "s", "line": "l", "station": "st", "box": "b"}
    )
    text = record_text(result, {"top.png": 7}, 12.34567)
    assert json.loads(text) == {
        "schema": "edgeflow/evidence/1",
        "result_id": "r-1",
        "part_id": "Träger 7",
        "site": "s",
        "line": "l",
        "station": "st",
        "box": "b",
        "decided_at": json.loads(result.model_dump_json())["decided_at"],
        "run_s": 12.346,
        "kept": "verdict",
        "files": {"top.png": 7},
    }
    assert "Träger 7" in text  # readable as it is
    assert text.endswith("}\n")
    assert len(text.splitlines()) > 10


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "r-1"
    folder.mkdir()
    (folder / "evidence.json").write_text(record_text(SAMPLE, {"top.png": 7, "left.png": 5}, 2.5))
    found = read_record(folder)
    assert found == EvidenceRecord(
        result_id="r-1", files={"top.png": 7, "left.png": 5, "evidence.json": 0}, run_s=2.5, kept="verdict"
    )


@pytest.mark.parametrize(
    ("result_id", "name"),
    [
        ("r-1", "r-1"),
        ("A.z_9-", "A.z_9-"),
        ("a/b c\x00ä", "a_b_c__"),
        ("..", "_"),
        ("...hidden", "_hidden"),
        ("a..b", "a..b"),
    ],
)
def test_a_folder_is_named_after_the_result(result_id: str, name: str) -> None:
    assert folder_name(result_id) == name


def test_a_record_belongs_to_the_folder_of_its_name_only(tmp_path: Path) -> None:
    assert read(tmp_path, RECORD) is not None
    moved = (tmp_path / "r-1").rename(tmp_path / ".r-1.tmp")
    assert read_record(moved) is None
    assert read_record(moved, "r-1") is not None
    assert read_record(moved, "r-2") is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "edgeflow/evidence/2"},
        {"schema": None},
        {"result_id": 1},
        {"result_id": "r-2"},
        {"files": ["top.png"]},
        {"files": None},
        {"run_s": "2.5"},
        {"run_s": None},
        {"run_s": float("nan")},
        {"run_s": float("inf")},
    ],
)
def test_a_record_with_anything_else_in_it_is_none(tmp_path: Path, change: dict[str, Any]) -> None:
    assert read(tmp_path, RECORD | change) is None


@pytest.mark.parametrize("document", [[], [RECORD], "r-1", 1, None])
def test_a_document_that_is_no_object_is_none(tmp_path: Path, document: Any) -> None:
    assert read(tmp_path, document) is None


def test_only_names_of_files_in_the_folder_and_whole_sizes_are_believed(tmp_path: Path) -> None:
    files = {
        "a" * 255: 1,
        "a" * 256: 1,
        "...": 2,
        ".": 3,
        "..": 3,
        "": 3,
        "a/b": 3,
        "/a": 3,
        "a\x00b": 3,
        "true.png": True,
        "text.png": "7",
        "half.png": 7.5,
    }
    found = read(tmp_path, RECORD | {"files": files})
    assert found is not None
    assert found.files == {"a" * 255: 1, "...": 2, "evidence.json": 0}


def test_a_whole_number_of_seconds_is_a_running_time(tmp_path: Path) -> None:
    found = read(tmp_path, RECORD | {"run_s": 3})
    assert found is not None
    assert found.run_s == 3.0


def test_the_result_alone_names_the_files_of_an_earlier_edgeflow(tmp_path: Path) -> None:
    views = [{"id": "top"}, {"id": "left"}, "odd", {"id": "../up"}]
    earlier = {"schema": "edgeflow/result/1", "result_id": "r-1", "views": views}
    found = read(tmp_path, earlier, file="result.json")
    assert found == EvidenceRecord(
        result_id="r-1",
        files={
            "top.png": 0, "top_heat.png": 0, "top_map.npy": 0,
            "left.png": 0, "left_heat.png": 0, "left_map.npy": 0, "result.json": 0,
        },
        run_s=None,
    )  # fmt: skip
    newer = read(tmp_path, RECORD)
    assert newer is not None
    assert newer.run_s == 2.5  # the record stands over the result


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({}, True),
        ({"views": None}, True),
        ({"views": {"id": "top"}}, True),
        ({"schema": "edgeflow/result/2"}, True),
        ({"schema": "other/result/1"}, False),
        ({"schema": None}, False),
        ({"result_id": None}, False),
        ({"result_id": "r-2"}, False),
    ],
)
def test_what_is_known_as_an_earlier_result(tmp_path: Path, change: dict[str, Any], known: bool) -> None:
    earlier = {"schema": "edgeflow/result/1", "result_id": "r-1", "views": []}
    found = read(tmp_path, earlier | change, file="result.json")
    assert (found is not None) is known
    if found is not None:
        assert found.files == {"result.json": 0}


def test_the_largest_record_that_is_read_has_four_million_bytes(tmp_path: Path) -> None:
    folder = tmp_path / "r-1"
    folder.mkdir()
    text = json.dumps(RECORD)
    for size, known in ((4_000_000, True), (4_000_001, False)):
        (folder / "evidence.json").write_text(text + " " * (size - len(text)))
        assert (read_record(folder) is not None) is known


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_damaged_record_is_none(tmp_path: Path, content: bytes) -> None:
    folder = tmp_path / "r-1"
    folder.mkdir()
    (folder / "evidence.json").write_bytes(content)
    assert read_record(folder) is None
