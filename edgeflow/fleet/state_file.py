"""A document of the agent on its disk: whole, or of the moment before."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from edgeflow.contracts.documents.document import Document
from edgeflow.errors import StorageError
from edgeflow.files import replace_atomically

__all__ = ["read_state", "write_state"]

D = TypeVar("D", bound=Document)


def read_state(path: Path, model: type[D]) -> D:
    """Return what was written last; the model's defaults where nothing was.

    Raises:
        StorageError: it cannot be read.
    """
    try:
        return model.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return model()
    except (OSError, ValidationError) as cause:
        raise StorageError(
            f"{path}: cannot be read; remove it, and the agent begins anew: what this box left would be "
            "tried again"
        ) from cause


def write_state(path: Path, document: Document) -> None:
    """Write a document, so that a power cut leaves it or the one before.

    Raises:
        StorageError: the disk cannot be written.
    """
    try:
        with replace_atomically(path) as file:
            file.write(document.model_dump_json(by_alias=True).encode())
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; make room") from cause
