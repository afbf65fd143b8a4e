"""Files and manifest to one bundle file: the same inputs give the same bytes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from edgeflow.contracts.manifest import MANIFEST_NAME, FileRecord, Manifest
from edgeflow.errors import StorageError

__all__ = ["file_records", "write_bundle"]

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date a zip entry can carry


def file_records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """Hash and size of every file."""
    return {
        name: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        for name, data in sorted(files.items())
    }


def write_bundle(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write the bundle under a temporary name, then rename it: it exists whole or not at all.

    Raises:
        StorageError: the folder cannot be written.
    """
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(partial, "w") as archive:
            _add(archive, MANIFEST_NAME, text.encode())
            for name, data in sorted(files.items()):
                _add(archive, name, data)
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    except OSError as cause:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageError(f"{path}: bundle cannot be written: {cause}; check space and rights") from cause


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = 0o100644 << 16
    archive.writestr(info, data, compresslevel=6)
