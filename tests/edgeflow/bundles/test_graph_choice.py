"""The choice of a graph on a box: kept by the bundle's hash, and never taken for another bundle's."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.bundles.graph_choice import keep_choice, read_choices
from edgeflow.errors import StorageError


def sha(number: int) -> str:
    return f"{number:064x}"


def test_choice_is_kept_by_the_hash_and_can_be_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "state" / "graph_choice.json"
    assert read_choices(path).bundles == {}
    keep_choice(path, sha(1), "openvino-int8")
    keep_choice(path, sha(2), "openvino-bf16")
    keep_choice(path, sha(1), None)
    assert read_choices(path).bundles == {sha(2): "openvino-bf16"}


def test_of_many_bundles_the_oldest_choices_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "graph_choice.json"
    for number in range(70):
        keep_choice(path, sha(number), "openvino-int8")
    assert list(read_choices(path).bundles) == [sha(number) for number in range(6, 70)]


@pytest.mark.parametrize("content", [b"", b"{", b'{"bundles": {"short": "x"}}', b"[1]"])
def test_damaged_file_says_what_to_do(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "graph_choice.json"
    path.write_bytes(content)
    with pytest.raises(StorageError, match="cannot be read; remove the file, and choose again"):
        keep_choice(path, sha(1), "openvino-int8")
    assert path.read_bytes() == content


def test_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(StorageError, match=r"graph_choice\.json: .*cannot be (written|read)"):
        keep_choice(tmp_path / "state" / "graph_choice.json", sha(1), "openvino-int8")
