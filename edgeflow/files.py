"""Atomic writes: a file is whole under its name, or not there at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgeflow.errors import StorageError, UsageError

__all__ = ["replace_atomically", "require_new", "write_then_verify"]


@contextmanager
def replace_atomically(path: Path) -> Iterator[BinaryIO]:
    """Give a temporary file to write to; it takes the name ``path`` where the block ends without an error.

    Its bytes are on the disk before it gets the name: after a power cut, the old file stands there or the new
    one. The folder is made where it is missing.

    Raises:
        OSError: the folder or the file cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def require_new(path: Path) -> None:
    """Check that a file's name is free, before hours of work rather than after.

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
    """Give a temporary name to write to and to verify; the file gets its own name where neither failed.

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
