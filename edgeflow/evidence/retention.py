"""Retention of evidence: an index of the folders on the disk, of which the oldest are removed first.

Order and age are the box's running time (see :mod:`edgeflow.run_time`): a wall clock that was wrong for a
while removes nothing. A folder is removed only if it bears our record, and only the files that this record
names; what others put there stays, and no link is followed.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from edgeflow.contracts.datasets.part_label import LABEL_FILE
from edgeflow.evidence.record import RECORD_FILE, RESULT_FILE, read_record
from edgeflow.run_time import Boot, parse_run_time, read_boot, run_time_text

__all__ = ["EvidenceStore", "Kept", "kept_parts"]

logger = logging.getLogger(__name__)

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_UNFINISHED = re.compile(r"\.(.+?)(?:\.[0-9a-f]{8})?\.tmp")
_CLOCK_FILE = ".edgeflow-run-time.json"
_CLOCK_S = 60.0  # how much of the running time a crash may cost
_DAY_S = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One part's folder, in a folder named after its day (UTC).

    Attributes:
        run_s: running time of the box when it was written; 0 for a folder of an earlier edgeflow.
    """

    folder: Path
    size: int
    run_s: float = 0.0


class EvidenceStore:
    """Knows every part below a folder; for one thread.

    Args:
        max_bytes: of all parts together; None: any.
        max_days: parts older than so many days of running time go; None: none.
        boot: the present moment.
    """

    def __init__(
        self,
        root: Path,
        *,
        max_bytes: int | None,
        max_days: float | None,
        boot: Callable[[], Boot] = read_boot,
    ) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._max_days = max_days
        self._boot = boot
        self._run_time = parse_run_time(None, boot())
        self._clock_found = False
        self._clock_kept_s = float("-inf")
        self._kept: deque[Kept] = deque()
        self._found: list[Kept] = []
        self._looking: Iterator[Kept] | None = None
        self._looked = False
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes of all parts."""
        return self._size

    @property
    def run_s(self) -> float:
        """Seconds that the box has run, as far as this folder has recorded."""
        return self._run_time.at(self._boot()).run_s

    def __len__(self) -> int:
        return len(self._kept)

    def look(self) -> None:
        """Read all folders; remove what a crash left unfinished."""
        while not self.look_on(1000):
            pass

    def look_on(self, count: int) -> bool:
        """Read up to ``count`` more folders; return True once all are known. Nothing is removed before."""
        if self._looked:
            return True
        if self._looking is None:
            self._read_clock()
            _remove_unfinished(self._root)
            self._looking = _parts(self._root, sizes=self._max_bytes is not None)
        portion = list(islice(self._looking, count))
        self._found += portion
        if len(portion) == count:
            return False
        self._looked = True
        self._begin_with(self._found)
        self._found, self._looking = [], None
        return True

    def _begin_with(self, found: list[Kept]) -> None:
        """Put the folders that were found before those that were written meanwhile."""
        written = {kept.folder for kept in self._kept}
        before = sorted((each for each in found if each.folder not in written), key=lambda kept: kept.run_s)
        self._kept.extendleft(reversed(before))
        self._size += sum(kept.size for kept in before)
        now = self._run_time.at(self._boot())
        if not self._clock_found:  # then the newest part tells how long the box has run at least
            newest_s = before[-1].run_s if before else 0.0
            now = replace(now, run_s=max(now.run_s, newest_s))
        self._run_time = now

    def add(self, folder: Path) -> None:
        """Add a part that was written, unless somebody has removed it already."""
        record = read_record(folder)
        if record is not None:
            size = sum(record.files.values())
            self._kept.append(Kept(folder=folder, size=size, run_s=record.run_s or 0.0))
            self._size += size

    def tidy(self) -> int:
        """Remove parts that are too old or too many; return how many."""
        gone = 0
        while self._is_too_much():
            gone += self.drop_oldest()
        return gone

    def _is_too_much(self) -> bool:
        if not self._looked or not self._kept:
            return False
        if self._max_bytes is not None and self._size > self._max_bytes:
            return True
        return self._max_days is not None and self.run_s - self._kept[0].run_s > self._max_days * _DAY_S

    def drop_oldest(self) -> bool:
        """Remove the oldest part; return False where there is none. A crash leaves no partial folder."""
        if not self._looked or not self._kept:
            return False
        kept = self._kept.popleft()
        self._size -= kept.size
        try:
            _remove(kept.folder)
        except FileNotFoundError:
            pass  # somebody tidied by hand
        except OSError as cause:
            logger.warning("evidence %s: cannot be removed: %s", kept.folder, cause.strerror)
        return True

    def keep_clock(self, *, at_once: bool = False) -> None:
        """Write the running time once in a while, but not before the earlier one was read.

        Raises:
            OSError: the folder cannot be written.
        """
        now = self._run_time.at(self._boot())
        if self._looking is None and not self._looked:
            return
        if not at_once and now.run_s - self._clock_kept_s < _CLOCK_S:
            return
        fresh = self._root / f"{_CLOCK_FILE}.tmp"
        fresh.write_text(run_time_text(now), "ascii")
        fresh.replace(self._root / _CLOCK_FILE)
        self._run_time, self._clock_kept_s = now, now.run_s

    def _read_clock(self) -> None:
        try:
            text = (self._root / _CLOCK_FILE).read_text("ascii")
        except (OSError, ValueError):
            text = None
        self._run_time = parse_run_time(text, self._boot())
        self._clock_found = self._run_time.run_s > 0


def kept_parts(root: Path) -> list[Kept]:
    """Return every part below the folder, oldest first."""
    return sorted(_parts(root, sizes=True), key=lambda kept: kept.run_s)


def _parts(root: Path, *, sizes: bool) -> Iterator[Kept]:
    """Return folders with a record, day by day; those without a running time by their own time."""
    for day in sorted(_days(root)):
        with suppress(OSError):  # somebody tidies by hand
            for folder in sorted(_folders(day), key=_written):
                record = read_record(folder)
                if record is not None:
                    size = sum(record.files.values()) or (_size(folder) if sizes else 0)
                    yield Kept(folder=folder, size=size, run_s=record.run_s or 0.0)


def _days(root: Path) -> list[Path]:
    """Return the folders named by a date, links excluded."""
    return [path for path in _folders(root) if _DAY.fullmatch(path.name)]


def _folders(parent: Path) -> list[Path]:
    """Return the folders whose names do not begin with a dot, links excluded."""
    try:
        with os.scandir(parent) as entries:
            return [
                parent / entry.name
                for entry in entries
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith(".")
            ]
    except OSError:
        return []


def _written(folder: Path) -> tuple[int, str]:
    try:
        return folder.stat().st_mtime_ns, folder.name
    except OSError:
        return 0, folder.name


def _size(folder: Path) -> int:
    """Return the bytes of a folder that an earlier edgeflow wrote; it may have been removed."""
    size = 0
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            size += entry.stat(follow_symlinks=False).st_size
    return size


def _remove(folder: Path) -> None:
    """Remove the files in the record, then the folder and its day where nothing else is in them."""
    day = folder.parent
    if folder.is_symlink() or day.is_symlink():
        return
    record = read_record(folder)
    if record is None:
        return
    going = folder.with_name(f".{folder.name}.tmp")
    ours = {*record.files, LABEL_FILE}
    foreign = {path.name for path in folder.iterdir()} - ours
    if foreign:
        logger.warning("evidence %s: files of others stay: %s", folder, ", ".join(sorted(foreign)[:5]))
    else:
        folder.rename(going)
        folder = going
    for name in sorted(ours, key=lambda name: name in (RECORD_FILE, RESULT_FILE)):
        (folder / name).unlink(missing_ok=True)
    if not foreign:
        folder.rmdir()
        with suppress(OSError):
            day.rmdir()


def _remove_unfinished(root: Path) -> None:
    """Remove what a crash left while writing or removing: hidden folders with a record."""
    for day in _days(root):
        with suppress(OSError):
            for folder in list(day.iterdir()):
                name = _UNFINISHED.fullmatch(folder.name)
                if name and not folder.is_symlink() and read_record(folder, name[1]) is not None:
                    shutil.rmtree(folder, ignore_errors=True)  # follows no link
