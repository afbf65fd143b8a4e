"""Upload of evidence to a store with the S3 interface, by a process of its own beside the box."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeflow.change_log import ChangeLog
from edgeflow.contracts.datasets.part_label import LABEL_FILE
from edgeflow.errors import HardwareError
from edgeflow.evidence.record import RECORD_FILE, read_record
from edgeflow.evidence.retention import kept_parts
from edgeflow.evidence.upload_state import FileVersion, UploadState

__all__ = ["EvidenceUpload", "ObjectStore", "Pace", "UploadCount", "UploadError"]

logger = logging.getLogger(__name__)

_PAUSES_S = (1.0, 2.0, 5.0, 15.0, 60.0)


class UploadError(HardwareError):
    """The store does not take a file now."""


class ObjectStore(Protocol):
    """Keeps files under keys."""

    def put(self, key: str, path: Path) -> None:
        """Store a file, in the place of an earlier one; whole or not at all.

        Raises:
            UploadError: not stored; says why.
            FileNotFoundError: the file has gone.
        """


@dataclass(frozen=True, kw_only=True)
class UploadCount:
    """Numbers of one pass.

    Attributes:
        parts: of which something was uploaded.
        present: parts of which all was there already.
    """

    parts: int = 0
    files: int = 0
    bytes: int = 0
    present: int = 0


class Pace:
    """Keeps the mean rate of uploads below a limit, from file to file. Clocks are arguments.

    Args:
        bytes_per_s: within a file, the store's library keeps it.
    """

    def __init__(self, bytes_per_s: float) -> None:
        self._bytes_per_s = bytes_per_s
        self._free_s = 0.0

    def pause_s(self, size: int, begun_s: float, now_s: float) -> float:
        """Return the pause after a file of so many bytes whose upload has begun then."""
        self._free_s = max(self._free_s, begun_s) + size / self._bytes_per_s
        return max(0.0, self._free_s - now_s)


class EvidenceUpload:
    """Uploads every part below a folder, the oldest first, each file once.

    The record of a part goes last: where it is, the part is whole. Files that changed (a label) are uploaded
    again. Nothing is ever deleted here, neither on the disk nor in the store.

    Args:
        prefix: begins every key; the rest is ``<day>/<part>/<file>``.
        wait: waits for so many seconds; returns True where the upload is to end.
    """

    def __init__(
        self,
        root: Path,
        store: ObjectStore,
        state: UploadState,
        *,
        prefix: str,
        pace: Pace,
        wait: Callable[[float], bool],
    ) -> None:
        self._root = root
        self._store = store
        self._state = state
        self._prefix = prefix
        self._pace = pace
        self._wait = wait
        self._problems = ChangeLog(logger, "evidence upload: ", logging.ERROR)

    def once(self) -> UploadCount:
        """Upload what is not in the store; return early where the upload is to end.

        Raises:
            UploadError: the store does not take a file.
            StorageError: the record of uploads cannot be used.
        """
        parts = files = size = present = 0
        for kept in kept_parts(self._root):
            due = [
                file for file in _files(kept.folder, self._root, self._prefix) if not self._state.has(file)
            ]
            present += not due
            parts += bool(due)
            for file in due:
                if self._upload(file):
                    return UploadCount(parts=parts, files=files, bytes=size, present=present)
                files, size = files + 1, size + file.size
        return UploadCount(parts=parts, files=files, bytes=size, present=present)

    def run(self, every_s: float, report: Callable[[UploadCount], None]) -> None:
        """Upload again and again until the upload is to end; a store that takes nothing is tried again.

        Args:
            report: called after each pass that uploaded something.
        """
        attempt = 0
        while True:
            try:
                count = self.once()
            except UploadError as problem:
                self._problems.report(f"{problem}; it is tried again")
                pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
                attempt += 1
            else:
                if self._problems.clear():
                    logger.warning("evidence upload: goes on")
                attempt, pause_s = 0, every_s
                if count.files:
                    report(count)
            if self._wait(pause_s):
                return

    def _upload(self, file: FileVersion) -> bool:
        """Upload one file at the pace; return True where the upload is to end."""
        begun_s = time.monotonic()
        try:
            self._store.put(file.key, file.path)
        except FileNotFoundError:  # removed meanwhile, as the box's limits want
            return False
        self._state.add(file)
        return self._wait(self._pace.pause_s(file.size, begun_s, time.monotonic()))


def _files(folder: Path, root: Path, prefix: str) -> Iterator[FileVersion]:
    """Yield the files that a part's record names, and its label; the record last."""
    record = read_record(folder)
    if record is None:
        return
    names = [name for name in (*record.files, LABEL_FILE) if name != RECORD_FILE]
    for name in (*names, RECORD_FILE):
        path = folder / name
        try:
            found = path.lstat()
        except OSError:
            continue
        if path.is_file() and not path.is_symlink():
            key = f"{prefix}/{folder.relative_to(root).as_posix()}/{name}"
            yield FileVersion(key=key, path=path, size=found.st_size, mtime_ns=found.st_mtime_ns)
