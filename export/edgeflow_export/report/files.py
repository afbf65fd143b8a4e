"""Files of a report: each is complete or not there, and an old one never stays beside a new one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from edgeflow.errors import StorageError

__all__ = ["require_writable", "write_files"]


def require_writable(folder: Path) -> None:
    """Make a folder and try to write there: better known before hours of work than after.

    Raises:
        StorageError: it cannot be made or written.
    """
    probe = folder / f".{os.getpid()}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as cause:
        raise _refused(folder, cause) from cause


def write_files(folder: Path, files: Mapping[str, bytes | None]) -> tuple[Path, ...]:
    """Write files atomically; all are on the disk before the first takes its name.

    Args:
        files: name to content; None for a file that must not be there, such as one of an earlier run.

    Returns:
        The files written.

    Raises:
        StorageError: the folder cannot be written; nothing half-written stays.
    """
    partial = {name: folder / f"{name}.{os.getpid()}.partial" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            if content is not None:
                partial[name].write_bytes(content)
        for name, content in files.items():
            if content is None:
                (folder / name).unlink(missing_ok=True)
            else:
                os.replace(partial[name], folder / name)  # noqa: PTH105 - the atomic form
    except OSError as cause:
        for path in partial.values():
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        raise _refused(folder, cause) from cause
    return tuple(folder / name for name, content in files.items() if content is not None)


def _refused(folder: Path, cause: OSError) -> StorageError:
    return StorageError(
        f"{folder}: cannot be written: {cause.strerror or cause}; check space and rights, or give another "
        "--output"
    )
