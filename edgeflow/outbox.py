"""The outbox: results on disk until they are delivered, whatever happens to the network or the power."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgeflow.clock import utc_text
from edgeflow.contracts.messages import Result, VerdictName, to_json
from edgeflow.errors import StorageError

__all__ = ["Drop", "Outbox", "Row"]

logger = logging.getLogger(__name__)

_FORMAT = 1
_DELETE_CHUNK = 500  # SQLite allows 999 parameters in its oldest supported builds
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id TEXT NOT NULL UNIQUE,
    verdict TEXT NOT NULL,
    worth INTEGER NOT NULL,
    payload BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS results_by_worth ON results (worth, id);
CREATE TABLE IF NOT EXISTS drops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    count INTEGER NOT NULL,
    why TEXT NOT NULL,
    at TEXT NOT NULL
);
"""
# What is dropped first when the outbox is full: the lowest worth.
_WORTH: dict[VerdictName, int] = {"OK": 0, "UNDECIDED": 1, "NG": 2}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stored result; ``id`` grows with every put and is never used twice in one database."""

    id: int
    result_id: str
    verdict: str
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Results that were given up: the first and the last result id, how many, and why."""

    first: str
    last: str
    count: int
    why: str
    at: str


class Outbox:
    """A queue in SQLite that survives crashes and power cuts; any thread may call any method.

    Args:
        path: database file; its folder is made if needed. A damaged file is set aside under
            another name and a new one begun, because a box that cannot start is worse.
        max_rows: beyond it the oldest OK results go first, then UNDECIDED, NG last.

    Raises:
        StorageError: the file cannot be written, or belongs to a newer edgeflow.
    """

    def __init__(self, path: Path, max_rows: int) -> None:
        self._path = path
        self._max_rows = max_rows
        self._lock = threading.Lock()
        with self._mapped("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = _open(path)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as cause:
                _set_aside(path, cause)
                self._connection = _open(path)
            self._count = int(self._one("SELECT COUNT(*) FROM results"))
        self._epoch = str(self._one("SELECT value FROM meta WHERE key = 'epoch'"))

    @property
    def epoch(self) -> str:
        """UUID of this database; with a row's id it names the row among all boxes and all times."""
        return self._epoch

    def put(self, result: Result) -> None:
        """Store a result; it is on the disk when this returns. The same result id is stored once.

        Raises:
            StorageError: the disk is full or failed; the result is not stored.
        """
        row = (result.result_id, result.verdict, _WORTH[result.verdict], to_json(result))
        with self._writing("FULL") as (connection, change):
            added = connection.execute(
                "INSERT INTO results (result_id, verdict, worth, payload) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (result_id) DO NOTHING",
                row,
            ).rowcount
            dropped = self._drop_excess(connection, self._count + added)
            change.append(added - dropped)

    def pending(self, after_id: int, limit: int) -> list[Row]:
        """Stored results with an id over ``after_id``, oldest first."""
        with self._mapped("read"), self._lock:
            found = self._connection.execute(
                "SELECT id, result_id, verdict, payload FROM results WHERE id > ? ORDER BY id LIMIT ?",
                (after_id, limit),
            ).fetchall()
        return [Row(id=i, result_id=r, verdict=v, payload=bytes(p)) for i, r, v, p in found]

    def read(self, row_id: int) -> Row | None:
        """One stored result, or None when it has been delivered or dropped."""
        rows = self.pending(row_id - 1, 1)
        return rows[0] if rows and rows[0].id == row_id else None

    def delete(self, result_ids: Iterable[str]) -> int:
        """Let delivered results go; unknown ids are ignored. Returns how many went."""
        ids = list(dict.fromkeys(result_ids))
        gone = 0
        with self._writing("NORMAL") as (connection, change):
            for start in range(0, len(ids), _DELETE_CHUNK):
                chunk = ids[start : start + _DELETE_CHUNK]
                marks = ",".join("?" * len(chunk))
                # The marks are question marks only; every value is bound.
                statement = f"DELETE FROM results WHERE result_id IN ({marks})"  # noqa: S608
                gone += connection.execute(statement, chunk).rowcount
            change.append(-gone)
        return gone

    def last_id(self) -> int:
        """Id of the newest result ever stored in this database; 0 when there was none."""
        with self._mapped("read"), self._lock:
            found = self._connection.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'results'"
            ).fetchone()
        return int(found[0]) if found else 0

    def count(self) -> int:
        """How many results wait."""
        return self._count

    def drops(self) -> tuple[Drop, ...]:
        """What was given up for want of room, oldest record first."""
        with self._mapped("read"), self._lock:
            found = self._connection.execute(
                "SELECT first, last, count, why, at FROM drops ORDER BY id"
            ).fetchall()
        return tuple(Drop(first=f, last=la, count=c, why=w, at=a) for f, la, c, w, a in found)

    def close(self) -> None:
        """Close the database; safe to call twice."""
        with self._lock:
            self._connection.close()

    def _drop_excess(self, connection: sqlite3.Connection, rows: int) -> int:
        excess = max(0, rows - self._max_rows)
        if not excess:
            return 0
        victims = connection.execute(
            "SELECT id, result_id, verdict FROM results ORDER BY worth, id LIMIT ?", (excess,)
        ).fetchall()
        for row_id, result_id, verdict in victims:
            connection.execute("DELETE FROM results WHERE id = ?", (row_id,))
            self._record_drop(connection, result_id, verdict)
        return len(victims)

    def _record_drop(self, connection: sqlite3.Connection, result_id: str, verdict: str) -> None:
        """One record per run of drops for the same reason, so that an outage of days stays one line."""
        why = f"more than {self._max_rows} results waited; oldest {verdict} given up"
        last = connection.execute("SELECT id, why FROM drops ORDER BY id DESC LIMIT 1").fetchone()
        if last and last[1] == why:
            connection.execute(
                "UPDATE drops SET last = ?, count = count + 1, at = ? WHERE id = ?",
                (result_id, utc_text(), last[0]),
            )
            return
        logger.warning("outbox %s: %s, from %s on", self._path, why, result_id)
        connection.execute(
            "INSERT INTO drops (first, last, count, why, at) VALUES (?, ?, 1, ?, ?)",
            (result_id, result_id, why, utc_text()),
        )

    def _one(self, query: str) -> str | int:
        found: str | int = self._connection.execute(query).fetchone()[0]
        return found

    @contextlib.contextmanager
    def _writing(
        self, synchronous: Literal["FULL", "NORMAL"]
    ) -> Iterator[tuple[sqlite3.Connection, list[int]]]:
        """One transaction; what it appends to the list counts only once it is committed.

        ``FULL`` waits for the disk. ``NORMAL`` does not: a power cut may undo it, which for a deletion
        costs one more copy of a result, and spares the line half of all waits for the disk.
        """
        change: list[int] = []
        with self._mapped("written"), self._lock:
            self._connection.execute(f"PRAGMA synchronous = {synchronous}")
            with self._connection as connection:
                yield connection, change
            self._count += sum(change)

    @contextlib.contextmanager
    def _mapped(self, what: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as cause:
            raise StorageError(
                f"outbox {self._path}: cannot be {what}: {cause}; check that the disk has room and that "
                "this user may write there, or change outbox.path"
            ) from cause


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
        raise sqlite3.DatabaseError("the integrity check found damage")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _FORMAT:
        raise StorageError(
            f"outbox {path}: written by a newer edgeflow (format {version}, this one knows {_FORMAT}); "
            "update edgeflow, or move the file away"
        )
    connection.executescript(_SCHEMA)
    with connection:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (str(uuid.uuid4()),))
        connection.execute(f"PRAGMA user_version = {_FORMAT}")


def _set_aside(path: Path, cause: sqlite3.DatabaseError) -> None:
    stamp = utc_text().replace(":", "").replace("-", "")
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    logger.warning(
        "outbox %s is damaged (%s): kept as %s, a new one is begun; results in it were not delivered",
        path,
        cause,
        kept.name,
    )
    path.rename(kept)
    for suffix in ("-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(kept.with_name(kept.name + suffix))
