"""A file that takes its name only after it was proven: until then nobody can take it for the real one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeflow.errors import StorageError, UsageError

__all__ = ["require_new", "write_then_verify"]


def require_new(path: Path) -> None:
    """Check that a file's name is free: better known before hours of work than after.

    Raises:
        UsageError: something is there already.
    """
    if path.is_dir():
        raise UsageError(f"{path}: is a folder; give the name of the bundle file to write")
    if path.exists() or path.is_symlink():
        raise UsageError(
            f"{path}: is there already, and a bundle is never replaced; give another name, or move it away"
        )


@contextmanager
def write_then_verify(path: Path) -> Iterator[Path]:
    """Give a temporary name to write to and to prove; the file gets its own name where neither failed.

    Whatever fails or interrupts the block, nothing new stands under ``path``. A file that is there, or comes
    while the block runs, stays.

    Raises:
        UsageError: something is there already.
        StorageError: the file cannot take its name.
    """
    require_new(path)
    draft = path.with_name(path.name + ".unproven")
    try:
        yield draft
        require_new(path)
        try:
            os.replace(draft, path)  # noqa: PTH105 - the atomic form
        except OSError as cause:
            raise StorageError(
                f"{path}: cannot take its name: {cause.strerror or cause}; check rights, or name another file"
            ) from cause
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
