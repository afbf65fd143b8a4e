"""Audit log of commands: JSON lines, appended and never changed, bounded in size by a second file."""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeflow.clock import utc_text
from edgeflow.errors import StorageError

__all__ = ["Audit", "change_record", "local_source", "read_audit"]


class Audit:
    """Appends records; each is on the disk when ``write`` returns. Any thread may write.

    A full file takes the name ``NAME.1``, instead of the one before it.

    Args:
        max_bytes: of one file; two are kept.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record.

        Raises:
            StorageError: the disk is full or failed.
        """
        line = json.dumps(record, ensure_ascii=True).encode() + b"\n"
        try:
            with self._lock:
                self._make_room(len(line))
                descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
                with os.fdopen(descriptor, "ab") as file:
                    file.write(line)
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as cause:
            raise StorageError(
                f"{self._path}: cannot be written: {cause.strerror}; check space and rights"
            ) from cause

    def _make_room(self, more: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        if self._path.exists() and self._path.stat().st_size + more > self._max_bytes:
            self._path.replace(_older(self._path))


def change_record(verb: str, arguments: Mapping[str, str], text: str, *, source: str) -> dict[str, Any]:
    """Return the record of a change that was made beside the box, such as a label.

    Args:
        source: who made it; see :func:`local_source`.
    """
    record = {"at": utc_text(), "source": source, "verb": verb, "arguments": dict(arguments)}
    return {**record, "outcome": "done", "text": text}


def local_source(user: str = "") -> str:
    """Return this process as the source of a change, and the user for whom it acts."""
    return f"local uid {os.getuid()} pid {os.getpid()}" + (f" for user {user!r}" if user else "")


def read_audit(path: Path, last: int) -> list[dict[str, Any]]:
    """Read the latest records, oldest first; a line that a power cut damaged is left out.

    Raises:
        StorageError: the file cannot be read.
    """
    records: deque[dict[str, Any]] = deque(maxlen=last)
    try:
        for file in (_older(path), path):
            records.extend(_records(file))
    except OSError as cause:
        raise StorageError(f"{path}: cannot be read: {cause.strerror}; check its rights") from cause
    return list(records)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.exists():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if isinstance(record, dict):
                yield record


def _older(path: Path) -> Path:
    return path.with_name(path.name + ".1")
