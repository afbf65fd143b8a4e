"""Signature of an existing bundle, given or replaced."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.bundles.archive import write_archive
from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.writer import bundle_entries
from edgeflow.contracts.signature import key_id

__all__ = ["sign_bundle"]


def sign_bundle(path: Path, key: Ed25519PrivateKey) -> str:
    """Check a bundle, then give it the signature of this key in place of any other; returns the key's id.

    The new file takes the old one's place in one step. The manifest stays as it is, and so does the
    bundle's hash.

    Raises:
        UsageError, IntegrityError: there is no such bundle, or it is damaged.
        StorageError: its folder cannot be written.
    """
    target = path.resolve()  # a link such as 'current.bundle' goes on to name the same file
    with Bundle.open(target) as bundle:
        # In the writer's order: signing afterwards gives the bytes of signing at export.
        entries = bundle_entries(bundle.raw_manifest, bundle.manifest.files, bundle.read, key)
        write_archive(target, entries)
    return key_id(key.public_key())
