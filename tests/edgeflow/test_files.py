"""A file takes its name whole and proven, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.errors import ParityError, StorageError, UsageError
from edgeflow.files import replace_atomically, require_new, write_then_verify


def test_proven_file_takes_its_name_and_leaves_nothing_else(tmp_path: Path) -> None:
    with write_then_verify(tmp_path / "b") as draft:
        draft.write_bytes(b"new")
        assert not (tmp_path / "b").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.mark.parametrize("failure", [ParityError("differs"), KeyboardInterrupt()])
def test_file_that_is_not_proven_leaves_nothing(tmp_path: Path, failure: BaseException) -> None:
    def fail() -> None:
        with write_then_verify(tmp_path / "b") as draft:
            draft.write_bytes(b"half")
            raise failure

    with pytest.raises(type(failure)):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_file_that_is_there_or_comes_meanwhile_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "early").write_bytes(b"old")
    with pytest.raises(UsageError, match="is there already"), write_then_verify(tmp_path / "early"):
        pytest.fail("the work begins although its result cannot be kept")

    def meanwhile(path: Path) -> None:
        with write_then_verify(path) as draft:
            draft.write_bytes(b"new")
            path.write_bytes(b"old")

    with pytest.raises(UsageError, match="is there already"):
        meanwhile(tmp_path / "late")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"early": b"old", "late": b"old"}


def test_link_that_leads_nowhere_is_a_name_that_is_taken(tmp_path: Path) -> None:
    (tmp_path / "b").symlink_to("disc-2.bundle")
    with pytest.raises(UsageError, match="is there already"):
        require_new(tmp_path / "b")


def test_folder_is_told_apart_from_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder; give the name of the bundle file"):
        require_new(tmp_path)


def test_name_that_cannot_be_taken_is_a_storage_error(tmp_path: Path) -> None:
    def lose(path: Path) -> None:
        with write_then_verify(path) as draft:
            draft.write_bytes(b"new")
            draft.unlink()

    with pytest.raises(StorageError, match="cannot take its name"):
        lose(tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_replaced_file_is_the_old_one_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "record"
    with replace_atomically(path) as file:
        file.write(b"one")
        assert not path.exists()
    assert path.read_bytes() == b"one"

    def interrupted() -> None:
        with replace_atomically(path) as file:
            file.write(b"two")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == b"one"
    assert [each.name for each in path.parent.iterdir()] == ["record"]


def test_a_file_that_cannot_be_replaced_is_the_systems_error(tmp_path: Path) -> None:
    (tmp_path / "record.partial").mkdir()
    with pytest.raises(IsADirectoryError), replace_atomically(tmp_path / "record"):
        pytest.fail("nothing can be written")
