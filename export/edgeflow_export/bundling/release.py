"""A bundle's release: version, boxes, expiry and signer; and its file, written only if it verifies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edgeflow.bundles.bundle import Bundle
from edgeflow.bundles.writer import write_bundle
from edgeflow.contracts.manifest import Manifest
from edgeflow.files import write_then_verify
from edgeflow.scoring.verification import verify_graph
from edgeflow_export.conversion.job import Stage

__all__ = ["Built", "Release", "write_verified"]


@dataclass(frozen=True, kw_only=True)
class Release:
    """See the manifest's fields of the same names.

    Attributes:
        signer: None for an unsigned bundle.
    """

    version: int = 0
    device_class: str | None = None
    expires: datetime | None = None
    signer: Ed25519PrivateKey | None = None


@dataclass(frozen=True, kw_only=True)
class Built:
    """A written bundle and what it says of itself."""

    path: Path
    size: int
    sha256: str
    manifest: Manifest


def write_verified(
    output: Path, manifest: Manifest, files: dict[str, bytes], stage: Stage, release: Release
) -> Built:
    """Write under a temporary name, replay the golden parts from the file, and only then give it its name.

    Raises:
        ParityError: a graph in the file does not compute what the trained model computes.
        StorageError: the folder cannot be written.
    """
    with write_then_verify(output) as draft:
        with stage("writing the bundle"):
            write_bundle(draft, manifest, files, signer=release.signer)
        with stage("replaying golden parts from the bundle"), Bundle.open(draft) as bundle:
            for graph in manifest.graphs:
                verify_graph(bundle, graph)
            sha256 = bundle.sha256
        size = draft.stat().st_size
    return Built(path=output, size=size, sha256=sha256, manifest=manifest)
