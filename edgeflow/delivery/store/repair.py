"""Repair of a damaged outbox: all readable rows go into a new file; a step that fails loses nothing.

The new file is written in full beside the damaged one, and takes its name only then. Whatever stops the
repair, the damaged file or the finished new one is still there, and the repair is done again or completed.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgeflow.delivery.store.database import OutboxDatabase
from edgeflow.delivery.store.database_file import read_only, set_aside
from edgeflow.delivery.store.records import Entry, Limits

__all__ = ["Repaired", "complete", "copy_removed", "repair"]

_AT_ONCE = 200
_EVERYTHING = Limits(rows=2**62, bytes=2**62, age_s=float("inf"))


@dataclass(frozen=True, kw_only=True)
class Repaired:
    """Result of a repair.

    Attributes:
        saved: how many results the new file has.
        kept: the damaged file under its new name.
    """

    saved: int
    kept: Path


def complete(path: Path) -> None:
    """Finish a repair that was interrupted between its last two steps; remove one that was not finished.

    Raises:
        OSError: the folder cannot be written.
    """
    fresh = _fresh(path)
    if fresh.exists() and not path.exists():
        fresh.rename(path)
    for suffix in ("", "-wal", "-shm"):
        fresh.with_name(fresh.name + suffix).unlink(missing_ok=True)


def repair(path: Path, cause: BaseException, last_id: int = 0) -> Repaired:
    """Replace a damaged file; nothing may have it open for writing.

    Args:
        last_id: the newest row number that is known; new rows get higher ones.

    Raises:
        sqlite3.Error, OSError: no room, for instance; the damaged file is untouched then.
    """
    complete(path)
    fresh = _fresh(path)
    store = OutboxDatabase(fresh)
    try:
        store.go_on_after(max(last_id, _last_id(path)))
        saved = _copy(path, store)
        store.take_over_drops(_open_drops(path))
    finally:
        store.close()
    kept = set_aside(path, cause)
    fresh.rename(path)
    _sync_folder(path.parent)
    return Repaired(saved=len(saved), kept=kept)


def copy_removed(store: OutboxDatabase, path: Path) -> None:
    """Copy a database whose file was removed into a new file; :func:`complete` gives it its name.

    Raises:
        sqlite3.Error, OSError: no room, for instance; the database can still be read.
    """
    complete(path)
    store.copy_to(_fresh(path))
    for suffix in ("-wal", "-shm"):  # of the file that is gone
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _copy(path: Path, store: OutboxDatabase) -> set[str]:
    """Copy results into the new file, a portion at a time; return their ids."""
    saved: set[str] = set()
    portion: list[Entry] = []
    for entry in _readable(path, saved):
        portion.append(entry)
        if len(portion) == _AT_ONCE:
            store.write(portion, [], [], _EVERYTHING, time.time())
            portion = []
    store.write(portion, [], [], _EVERYTHING, time.time())
    return saved


def _readable(path: Path, saved: set[str]) -> Iterator[Entry]:
    """Yield the readable rows: in order up to the damage, then from the end back to it."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(read_only(path)) as connection:
        columns = "*" if _is_early(connection) else "id, result_id, verdict, worth, payload, root, aside"
        for order in ("ASC", "DESC"):
            query = f"SELECT {columns} FROM results ORDER BY id {order}"  # noqa: S608
            with contextlib.suppress(sqlite3.Error):
                for row in connection.execute(query):
                    entry = _entry(*row[:5], *row[5:7]) if columns != "*" else _entry(*row[:5])
                    if entry is None:
                        continue
                    if entry.result_id in saved:
                        if order == "DESC":
                            break  # the rest was read on the way up
                        continue
                    saved.add(entry.result_id)
                    yield entry


def _last_id(path: Path) -> int:
    """Return the newest row id that can be read from the damaged file."""
    last_id = 0
    for query in ("SELECT seq FROM sqlite_sequence WHERE name = 'results'", "SELECT MAX(id) FROM results"):
        with contextlib.suppress(sqlite3.Error), contextlib.closing(read_only(path)) as connection:
            last_id = max(last_id, *(int(found or 0) for (found,) in connection.execute(query)), 0)
    return last_id


def _open_drops(path: Path) -> list[tuple[object, ...]]:
    """Return the open records of drops; none where they cannot be read."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(read_only(path)) as connection:
        query = "SELECT first, last, count, why, at, result_ids, open, root FROM drops WHERE open ORDER BY id"
        return connection.execute(query).fetchall()
    return []


def _is_early(connection: sqlite3.Connection) -> bool:
    """Return True if the file has an earlier format, whose first columns are the same."""
    return "aside" not in {found[1] for found in connection.execute("PRAGMA table_info(results)")}


def _entry(
    row_id: object,  # noqa: ARG001 - as the columns come
    result_id: object,
    verdict: object,
    priority: object,
    payload: object,
    root: object = "",
    aside: object = None,
) -> Entry | None:
    """Return a row that is complete enough to be kept; it is checked again before it is sent."""
    if not (isinstance(result_id, str) and isinstance(verdict, str) and isinstance(payload, bytes)):
        return None
    return Entry(
        result_id=result_id,
        verdict=verdict,
        priority=priority if isinstance(priority, int) else 0,
        payload=payload,
        root=str(root),
        aside="" if aside is None else str(aside),
    )


def _fresh(path: Path) -> Path:
    return path.with_name(f"{path.name}.rebuilt")


def _sync_folder(folder: Path) -> None:
    """Have names on the disk before anything relies on them."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
