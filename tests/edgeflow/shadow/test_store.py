"""Compared parts on the disk: bounded, counted beyond what is kept, and read while they are written."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edgeflow.errors import StorageError, UsageError
from edgeflow.shadow.comparison import Outcome
from edgeflow.shadow.store import CandidateInfo, ShadowPart, ShadowReader, ShadowStore, pictures_folder

INFO = CandidateInfo(sha256="c" * 64, graph="onnxruntime-fp32", name="bracket", version=2, running_sha256="r")


def part(number: int, outcome: Outcome = "same") -> ShadowPart:
    return ShadowPart(
        result_id=f"r{number}", part_id=f"p{number}", decided_at="2026-11-29T10:00:00.000Z", running="OK",
        running_score=0.5, verdict="OK", score=0.6, reason="", outcome=outcome,
    )  # fmt: skip


def test_parts_are_read_while_they_are_written_the_latest_first(tmp_path: Path) -> None:
    store = ShadowStore(tmp_path / "shadow.db", max_parts=100, max_pictures=0)
    number = store.candidate(INFO, "2026-11-29T09:00:00.000Z")
    store.add(number, part(1))
    store.add(number, part(2, "to_ng"))
    store.count(number, {"busy": 3})
    store.count(number, {"busy": 2})
    with ShadowReader(tmp_path / "shadow.db") as reader:
        assert list(reader.candidates().values()) == [(INFO, "2026-11-29T09:00:00.000Z")]
        assert [one.part_id for one in reader.parts(number)] == ["p2", "p1"]
        assert [one.part_id for one in reader.parts(number, "to_ng")] == ["p2"]
        counts = reader.counts(number)
    assert (counts["same"], counts["to_ng"], counts["to_ok"], counts["busy"]) == (1, 1, 0, 5)
    store.close()


def test_the_same_candidate_goes_on_counting_after_a_restart(tmp_path: Path) -> None:
    for number in (1, 2):
        store = ShadowStore(tmp_path / "shadow.db", max_parts=100, max_pictures=0)
        store.add(store.candidate(INFO, "2026-11-29T09:00:00.000Z"), part(number))
        store.close()
    with ShadowReader(tmp_path / "shadow.db") as reader:
        assert reader.counts(1)["same"] == 2


def test_what_is_kept_is_bounded_and_what_is_counted_is_not(tmp_path: Path) -> None:
    path = tmp_path / "shadow.db"
    store = ShadowStore(path, max_parts=100, max_pictures=2)
    number = store.candidate(INFO, "now")
    pictures_folder(path).mkdir()
    for name in ("1.jpg", "2.jpg", "3.jpg"):
        (pictures_folder(path) / name).touch()
    for each in range(302):
        store.add(number, part(each))
    with ShadowReader(path) as reader:
        assert len(list(reader.parts(number))) <= 200
        assert reader.counts(number)["same"] == 302
    assert [file.name for file in sorted(pictures_folder(path).iterdir())] == ["2.jpg", "3.jpg"]
    store.close()


def test_a_database_of_another_version_is_begun_anew_and_a_reader_says_so(tmp_path: Path) -> None:
    path = tmp_path / "shadow.db"
    with sqlite3.connect(path) as other:
        other.executescript("CREATE TABLE parts (a); PRAGMA user_version = 99")
    with pytest.raises(StorageError, match="another version"):
        ShadowReader(path)
    store = ShadowStore(path, max_parts=100, max_pictures=0)
    store.add(store.candidate(INFO, "now"), part(1))
    store.close()


def test_nothing_compared_yet_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="section 'shadow'"):
        ShadowReader(tmp_path / "shadow.db")


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    path = tmp_path / "shadow.db"
    path.write_bytes(b"no database at all, but long enough to be one" * 100)
    with pytest.raises(StorageError, match="cannot be written"):
        ShadowStore(path, max_parts=100, max_pictures=0)
