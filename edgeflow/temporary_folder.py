"""A temporary folder for one step, on a disk of the machine that has room for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeflow.errors import StorageError

__all__ = ["temporary_folder"]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Give a new folder, and remove it with everything in it at the end.

    Raises:
        StorageError: no temporary folder can be written.
    """
    try:
        folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
    except OSError as cause:
        raise StorageError(
            f"no temporary folder can be written ({cause.strerror or cause}); set TMPDIR to a folder with "
            "room in which this user may write"
        ) from cause
    with folder as name:
        yield Path(name)
