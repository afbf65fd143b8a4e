"""Record of the evidence files that were uploaded: a small database beside the outbox."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeflow.errors import StorageError

__all__ = ["FileVersion", "UploadState"]

_TABLE = (
    "CREATE TABLE IF NOT EXISTS uploaded (target TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL, "
    "mtime_ns INTEGER NOT NULL, PRIMARY KEY (target, key)) WITHOUT ROWID"
)
_BUSY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class FileVersion:
    """A file as it lies on the disk; another size or time means that it has changed.

    Attributes:
        key: its name in the store.
    """

    key: str
    path: Path
    size: int
    mtime_ns: int


class UploadState:
    """Knows which versions of which files a target has; losing it costs a second upload, and nothing else.

    Args:
        target: the store and bucket; another one has nothing yet.

    Raises:
        StorageError: the file cannot be opened.
    """

    def __init__(self, path: Path, target: str) -> None:
        self._target = target
        self._path = path
        with self._explained():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute(_TABLE)

    def has(self, file: FileVersion) -> bool:
        """Return True if this version of the file was uploaded."""
        with self._explained():
            row = self._connection.execute(
                "SELECT size, mtime_ns FROM uploaded WHERE target = ? AND key = ?", (self._target, file.key)
            ).fetchone()
        return bool(row == (file.size, file.mtime_ns))

    def add(self, file: FileVersion) -> None:
        """Record that this version was uploaded."""
        with self._explained():
            self._connection.execute(
                "INSERT INTO uploaded VALUES (?, ?, ?, ?) ON CONFLICT (target, key) DO UPDATE SET "
                "size = excluded.size, mtime_ns = excluded.mtime_ns",
                (self._target, file.key, file.size, file.mtime_ns),
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as cause:
            raise StorageError(
                f"{self._path}: the record of uploads cannot be used: {cause}; let this user write it, or "
                "remove it: everything is then uploaded again"
            ) from cause
