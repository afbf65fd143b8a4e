"""A file takes its name whole and proven, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.errors import ParityError, StorageError
from edgeflow.proven_file import proven_file


def test_proven_file_takes_its_name_and_leaves_nothing_else(tmp_path: Path) -> None:
    with proven_file(tmp_path / "b") as draft:
        draft.write_bytes(b"new")
        assert not (tmp_path / "b").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("failure", [ParityError("differs"), KeyboardInterrupt()])
def test_file_that_is_not_proven_leaves_the_old_one_alone(tmp_path: Path, failure: BaseException) -> None:
    (tmp_path / "b").write_bytes(b"old")

    def fail() -> None:
        with proven_file(tmp_path / "b") as draft:
            draft.write_bytes(b"half")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert (tmp_path / "b").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_name_that_cannot_be_taken_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with pytest.raises(StorageError, match="cannot take its name"), proven_file(tmp_path / "b") as draft:
        draft.write_bytes(b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["b"]
