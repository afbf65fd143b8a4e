"""A folder for the time of one step, on whatever disk the machine has for it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeflow.errors import StorageError

__all__ = ["temporary_folder"]


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder that goes with everything in it.

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
