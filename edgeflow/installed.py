"""The record of the highest bundle version that this box has run, per product; it only ever grows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationError

from edgeflow.contracts.document import Document
from edgeflow.contracts.manifest import Manifest
from edgeflow.errors import StorageError

__all__ = ["Installed", "permit_older", "read_installed", "remember"]

_MAX_BYTES = 1024 * 1024


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Installed(Document):
    """One product: the highest version that ran, and the bundle that was proven last.

    ``back_to`` is an older bundle that somebody went back to on purpose; forgotten when another one runs.
    """

    version: Annotated[int, Field(ge=0)]
    sha256: Sha256
    back_to: Sha256 | None = None


class _Record(Document):
    schema_: Literal["edgeflow/installed/1"] = Field(default="edgeflow/installed/1", alias="schema")
    bundles: dict[str, Installed] = Field(default_factory=dict)


def read_installed(path: Path) -> Mapping[str, Installed]:
    """Manifest name → what ran. A box that has run nothing yet has no file.

    Raises:
        StorageError: unreadable or damaged; it is not taken for empty, which would allow any version.
    """
    try:
        with path.open("rb") as file:
            return _Record.model_validate_json(file.read(_MAX_BYTES)).bundles
    except FileNotFoundError:
        return {}
    except (OSError, ValidationError) as cause:
        raise StorageError(
            f"{path}: the record of bundles that ran here cannot be read; restore it, or remove it if any "
            "version may run"
        ) from cause


def remember(path: Path, manifest: Manifest, sha256: str) -> None:
    """Note that a bundle has been proven on this box and now runs.

    Raises:
        StorageError: the file cannot be read or written.
    """
    known = dict(read_installed(path))
    before = known.get(manifest.name)
    version = max(manifest.version, before.version if before else 0)
    back_to = sha256 if before and before.back_to == sha256 else None
    _put(path, known, manifest.name, Installed(version=version, sha256=sha256, back_to=back_to))


def permit_older(path: Path, manifest: Manifest, sha256: str) -> None:
    """Let this box go back to one older bundle, until another one runs.

    Raises:
        StorageError: the file cannot be read or written.
    """
    known = dict(read_installed(path))
    before = known.get(manifest.name)
    if before is not None and manifest.version < before.version:
        _put(path, known, manifest.name, before.model_copy(update={"back_to": sha256}))


def _put(path: Path, known: dict[str, Installed], name: str, entry: Installed) -> None:
    before = known.get(name)
    if entry == before:
        return  # a restart writes nothing
    known[name] = entry
    record = _Record(bundles=known).model_dump_json(by_alias=True, indent=1, exclude_none=True)
    _replace(path, record.encode())


def _replace(path: Path, data: bytes) -> None:
    """The old record or the new one, whatever happens to the power."""
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    except OSError as cause:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check space and rights") from cause
