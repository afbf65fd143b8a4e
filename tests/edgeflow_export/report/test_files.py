"""Report files: whole or absent, and never mixed with those of an earlier run."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.errors import StorageError
from edgeflow_export.report.files import require_writable, write_files


def test_second_run_replaces_the_first_and_leaves_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("notes")
    write_files(tmp_path, {"a.json": b"1", "b.png": b"1"})
    written = write_files(tmp_path, {"a.json": b"2", "b.png": None})
    assert written == (tmp_path / "a.json",)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "a.json": "2",
        "mine.txt": "notes",
    }


def test_failure_leaves_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / "b.png").mkdir()  # a name that cannot be taken
    with pytest.raises(StorageError, match="cannot be written"):
        write_files(tmp_path, {"b.png": b"1", "c.json": b"1"})
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_folder_is_tried_before_the_work(tmp_path: Path) -> None:
    require_writable(tmp_path / "new" / "folder")
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="give another --output"):
        require_writable(tmp_path / "file" / "folder")
