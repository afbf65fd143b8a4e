"""Files and manifest to one bundle file: the same inputs give the same bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.bundles.archive import write_archive
from edgeflow.contracts.manifest import MANIFEST_NAME, FileRecord, Manifest
from edgeflow.contracts.signature import SIGNATURE_NAME, sign_manifest

__all__ = ["bundle_entries", "file_records", "manifest_bytes", "write_bundle"]


def file_records(files: Mapping[str, bytes]) -> dict[str, FileRecord]:
    """Hash and size of every file."""
    return {
        name: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        for name, data in sorted(files.items())
    }


def manifest_bytes(manifest: Manifest) -> bytes:
    """The manifest as it stands in the bundle; its hash is the bundle's."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=1, sort_keys=True, ensure_ascii=False)
    return text.encode()


def bundle_entries(
    raw_manifest: bytes,
    names: Iterable[str],
    read: Callable[[str], bytes],
    signer: Ed25519PrivateKey | None,
) -> Iterator[tuple[str, bytes]]:
    """Everything of a bundle in the order that its bytes depend on.

    Args:
        names: of its files, read one at a time.
    """
    yield MANIFEST_NAME, raw_manifest
    if signer is not None:
        yield SIGNATURE_NAME, sign_manifest(raw_manifest, signer)
    for name in sorted(names):
        yield name, read(name)


def write_bundle(
    path: Path, manifest: Manifest, files: Mapping[str, bytes], *, signer: Ed25519PrivateKey | None = None
) -> None:
    """Write the bundle whole or not at all, signed where a key is given.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: more than 2 GiB.
    """
    write_archive(path, bundle_entries(manifest_bytes(manifest), files, files.__getitem__, signer))
