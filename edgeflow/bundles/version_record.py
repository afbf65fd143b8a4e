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


class ProductRecord(Document):
    """Record of one product of a box with several: the name of its bundles, and their versions."""

    name: str
    bundles: dict[str, VersionRecord] = Field(default_factory=dict)


def _is_empty(value: Mapping[str, object]) -> bool:
    return not value


class Record(Document):
    """All bundle names; ``product`` is the one that this box inspects, where that is known.

    ``products`` holds the same for each product of a box with several, whose bundles may bear one name.
    """

    schema_: Literal["edgeflow/installed/1"] = Field(default="edgeflow/installed/1", alias="schema")
    product: str | None = None
    bundles: dict[str, VersionRecord] = Field(default_factory=dict)
    products: dict[str, ProductRecord] = Field(default_factory=dict, exclude_if=_is_empty)

    def of(self, product: str | None) -> Record:
        """Return the record of one product of the box file; None: of a box with one bundle.

        A product that has run nothing yet keeps to what the box ran before it had products.
        """
        if product is None:
            return self
        own = self.products.get(product)
        if own is None:
            return Record(bundles=self.bundles)
        return Record(product=own.name, bundles={**self.bundles, **own.bundles})

    @property
    def known_product(self) -> str | None:
        """Records of before products were noted have one where only that ever ran."""
        if self.product is None and len(self.bundles) == 1:
            return next(iter(self.bundles))
        return self.product


def read_installed(path: Path, product: str | None = None) -> Mapping[str, VersionRecord]:
    """Manifest name → what ran, for a product of the box file; see :func:`read_record`."""
    return read_record(path).of(product).bundles


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


def record_version(
    path: Path, manifest: Manifest, sha256: str, *, max_version: int, product: str | None = None
) -> None:
    """Record that a bundle has been verified on this box and now runs: from now on, it inspects this product.

    Args:
        product: of the box file, where it has several.
        max_version: a higher one that was noted earlier was a mistake, and is forgotten.

    Raises:
        StorageError: the file cannot be read or written.
    """
    record = read_record(path)
    before = record.of(product).bundles.get(manifest.name)
    highest = before.version if before and before.version <= max_version else 0
    back_to = sha256 if before and before.back_to == sha256 else None
    entry = VersionRecord(version=max(manifest.version, highest), sha256=sha256, back_to=back_to)
    after = _with_entry(record.of(product), manifest.name, entry, manifest.name)
    _put(path, record, after, product)


def permit_older(path: Path, manifest: Manifest, sha256: str, product: str | None = None) -> None:
    """Let this box go back to one older bundle, until another one runs.

    Raises:
        StorageError: the file cannot be read or written.
    """
    record = read_record(path)
    own = record.of(product)
    before = own.bundles.get(manifest.name)
    if before is not None and manifest.version < before.version:
        entry = before.model_copy(update={"back_to": sha256})
        _put(path, record, _with_entry(own, manifest.name, entry, own.product), product)


def _with_entry(record: Record, name: str, entry: VersionRecord, inspected: str | None) -> Record:
    return record.model_copy(update={"product": inspected, "bundles": {**record.bundles, name: entry}})


def _put(path: Path, before: Record, own: Record, product: str | None) -> None:
    """Write the record of one product, or of a box with one bundle, into the whole one."""
    record = own
    if product is not None:
        entry = ProductRecord(name=own.product or next(iter(own.bundles)), bundles=own.bundles)
        record = before.model_copy(update={"products": {**before.products, product: entry}})
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
