"""Bundle files: the same inputs give the same bytes, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.writer import write_bundle
from edgeflow.errors import StorageError
from tests.support.tiny import TinyProduct


def test_same_content_gives_the_same_bytes_in_any_order(tiny: TinyProduct, tmp_path: Path) -> None:
    with Bundle.open(tiny.bundle) as bundle:
        files = {name: bundle.read(name) for name in bundle.manifest.files}
        write_bundle(tmp_path / "a", bundle.manifest, files)
        write_bundle(tmp_path / "b", bundle.manifest, dict(reversed(list(files.items()))))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == tiny.bundle.read_bytes()


def test_folder_that_cannot_be_written_leaves_nothing(tiny: TinyProduct, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with Bundle.open(tiny.bundle) as bundle, pytest.raises(StorageError, match="cannot be written"):
        write_bundle(tmp_path / "file" / "a", bundle.manifest, {})
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
