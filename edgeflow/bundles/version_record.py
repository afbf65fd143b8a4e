"""The record of what this box has run: its product, and the highest version of each bundle name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.manifest import Manifest
from edgeflow.errors import StorageError
from edgeflow.files import replace_atomically

__all__ = ["Record", "VersionRecord", "permit_older", "read_installed", "read_record", "record_version"]

_MAX_BYTES = 1024 * 1024


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class VersionRecord(Document):
    """One product: the highest version that ran, and the bundle that was verified last.

    ``back_to`` is an older bundle that somebody went back to on purpose; forgotten when another one runs.
    """

    version: Annotated[int, Field(ge=0)]
    sha256: Sha256
    back_to: Sha256 | None = None


class Record(Document):
    """All products; ``product`` is the one that this box inspects, where that is known."""

    schema_: Literal["edgeflow/installed/1"] = Field(default="edgeflow/installed/1", alias="schema")
    product: str | None = None
    bundles: dict[str, VersionRecord] = Field(default_factory=dict)

    @property
    def known_product(self) -> str | None:
        """Records of before products were noted have one where only that ever ran."""
        if self.product is None and len(self.bundles) == 1:
            return next(iter(self.bundles))
        return self.product


def read_installed(path: Path) -> Mapping[str, VersionRecord]:
    """Manifest name → what ran; see :func:`read_record`."""
    return read_record(path).bundles


def read_record(path: Path) -> Record:
    """Read the record of what ran. A box that has run nothing yet has no file.

    Raises:
        StorageError: unreadable or damaged; it is not taken for empty, which would allow any version.
    """
    try:
        with path.open("rb") as file:
            return Record.model_validate_json(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return Record()
    except (OSError, ValidationError) as cause:
        raise StorageError(
            f"{path}: the record of bundles that ran here cannot be read; restore it, or remove it if any "
            "version may run"
        ) from cause


def record_version(path: Path, manifest: Manifest, sha256: str, *, max_version: int) -> None:
    """Record that a bundle has been verified on this box and now runs: from now on, it inspects this product.

    Args:
        max_version: a higher one that was noted earlier was a mistake, and is forgotten.

    Raises:
        StorageError: the file cannot be read or written.
    """
    record = read_record(path)
    before = record.bundles.get(manifest.name)
    highest = before.version if before and before.version <= max_version else 0
    back_to = sha256 if before and before.back_to == sha256 else None
    entry = VersionRecord(version=max(manifest.version, highest), sha256=sha256, back_to=back_to)
    _put(path, record, manifest.name, entry, product=manifest.name)


def permit_older(path: Path, manifest: Manifest, sha256: str) -> None:
    """Let this box go back to one older bundle, until another one runs.

    Raises:
        StorageError: the file cannot be read or written.
    """
    record = read_record(path)
    before = record.bundles.get(manifest.name)
    if before is not None and manifest.version < before.version:
        entry = before.model_copy(update={"back_to": sha256})
        _put(path, record, manifest.name, entry, product=record.product)


def _put(path: Path, before: Record, name: str, entry: VersionRecord, *, product: str | None) -> None:
    record = Record(product=product, bundles={**before.bundles, name: entry})
    if record == before:
        return  # a restart writes nothing
    _replace(path, record.model_dump_json(by_alias=True, indent=1, exclude_none=True).encode())


def _replace(path: Path, data: bytes) -> None:
    """The old record or the new one, whatever happens to the power."""
    try:
        with replace_atomically(path) as file:
            file.write(data)
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check space and rights") from cause
