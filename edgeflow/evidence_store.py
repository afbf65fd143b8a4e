"""The folders of evidence on the disk: which there are, and which have to go, oldest first."""

from __future__ import annotations

import logging
import shutil
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

__all__ = ["EvidenceStore", "Kept", "kept_parts"]

logger = logging.getLogger(__name__)

_UNFINISHED = ".tmp"


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One part's folder, in a folder named after its day (UTC)."""

    folder: Path
    size: int


class EvidenceStore:
    """Knows every part below a folder; for one thread.

    Args:
        max_bytes: of all parts together; None: any.
        max_days: older days go; None: none.
    """

    def __init__(self, root: Path, *, max_bytes: int | None, max_days: float | None) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._max_days = max_days
        self._kept: deque[Kept] = deque()
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return self._size

    def __len__(self) -> int:
        return len(self._kept)

    def look(self) -> None:
        """Take stock of what is there; what a crash left unfinished goes."""
        for unfinished in self._root.glob(f"*/.*{_UNFINISHED}"):
            shutil.rmtree(unfinished, ignore_errors=True)
        self._kept = deque(kept_parts(self._root))
        self._size = sum(kept.size for kept in self._kept)

    def add(self, folder: Path) -> None:
        """A part was written."""
        kept = Kept(folder=folder, size=_size(folder))
        self._kept.append(kept)
        self._size += kept.size

    def tidy(self, now: datetime) -> int:
        """Remove what is too old or too much; returns how many parts went.

        Args:
            now: aware; days are UTC.
        """
        gone = 0
        first = None if self._max_days is None else (now - timedelta(days=self._max_days)).date()
        while self._kept and first is not None and _day(self._kept[0].folder) < first:
            gone += self.drop_oldest()
        while self._kept and self._max_bytes is not None and self._size > self._max_bytes:
            gone += self.drop_oldest()
        return gone

    def drop_oldest(self) -> bool:
        """Remove the oldest part; False where there is none. A crash in between leaves no half part."""
        if not self._kept:
            return False
        kept = self._kept.popleft()
        self._size -= kept.size
        going = kept.folder.with_name(f".{kept.folder.name}{_UNFINISHED}")
        try:
            kept.folder.rename(going)
            shutil.rmtree(going)
            if not any(kept.folder.parent.iterdir()):
                kept.folder.parent.rmdir()
        except FileNotFoundError:
            pass  # somebody tidied by hand
        except OSError as cause:
            logger.warning("evidence %s: cannot be removed: %s", kept.folder, cause.strerror)
        return True


def kept_parts(root: Path) -> Iterator[Kept]:
    """Every part below the folder, oldest first."""
    days = sorted(path for path in root.iterdir() if _is_day(path)) if root.is_dir() else []
    for day in days:
        folders = [path for path in day.iterdir() if path.is_dir() and not path.name.startswith(".")]
        for folder in sorted(folders, key=lambda path: (path.stat().st_mtime_ns, path.name)):
            yield Kept(folder=folder, size=_size(folder))


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _is_day(path: Path) -> bool:
    try:
        date.fromisoformat(path.name)
    except ValueError:
        return False
    return path.is_dir()


def _day(folder: Path) -> date:
    return date.fromisoformat(folder.parent.name)
