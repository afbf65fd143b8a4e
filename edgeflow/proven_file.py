"""A file that takes its name only after it was proven: until then nobody can take it for the real one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeflow.errors import StorageError

__all__ = ["proven_file"]


@contextmanager
def proven_file(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to and to prove; the file gets its own name where neither failed.

    Whatever fails or interrupts the block, nothing new stands under ``path``, and what stood there stays.

    Raises:
        StorageError: the file cannot take its name.
    """
    draft = path.with_name(path.name + ".unproven")
    try:
        yield draft
        try:
            os.replace(draft, path)  # noqa: PTH105 - the atomic form
        except OSError as cause:
            raise StorageError(
                f"{path}: cannot take its name: {cause.strerror or cause}; check rights, or name another file"
            ) from cause
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
