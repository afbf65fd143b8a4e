"""Files and manifest to one bundle file: the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.bundle_archive import write_archive
from edgeflow.contracts.manifest import MANIFEST_NAME, FileRecord, Manifest
from edgeflow.contracts.signature import SIGNATURE_NAME, sign_manifest

__all__ = ["file_records", "write_bundle"]


def file_records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """Hash and size of every file."""
    return {
        name: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        for name, data in sorted(files.items())
    }


def write_bundle(
    path: Path, manifest: Manifest, files: Mapping[str, bytes], *, signer: Ed25519PrivateKey | None = None
) -> None:
    """Write the bundle whole or not at all, signed where a key is given.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: more than 2 GiB.
    """
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    raw = text.encode()
    signature = [(SIGNATURE_NAME, sign_manifest(raw, signer))] if signer else []
    write_archive(path, [(MANIFEST_NAME, raw), *signature, *sorted(files.items())])
