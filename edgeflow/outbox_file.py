"""The outbox's file: opened, brought to the present format, checked, and set aside when it is damaged."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

from edgeflow.clock import utc_text
from edgeflow.errors import StorageError
from edgeflow.outbox_rows import Entry

__all__ = [
    "check_file",
    "claim",
    "is_damage",
    "is_full",
    "mapped",
    "open_file",
    "read_only",
    "salvage",
    "set_aside",
]

logger = logging.getLogger(__name__)

_FORMAT = 2
_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id TEXT NOT NULL UNIQUE,
    verdict TEXT NOT NULL,
    worth INTEGER NOT NULL,
    payload BLOB NOT NULL,
    stored_s REAL NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS results_by_worth ON results (worth, id);
CREATE TABLE IF NOT EXISTS drops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    count INTEGER NOT NULL,
    why TEXT NOT NULL,
    at TEXT NOT NULL,
    result_ids TEXT NOT NULL DEFAULT '[]',
    open INTEGER NOT NULL DEFAULT 0
);
"""
_TO_FORMAT_2 = (
    "ALTER TABLE results ADD COLUMN stored_s REAL NOT NULL DEFAULT 0",
    "ALTER TABLE drops ADD COLUMN result_ids TEXT NOT NULL DEFAULT '[]'",
    "ALTER TABLE drops ADD COLUMN open INTEGER NOT NULL DEFAULT 0",
)
_CHECKPOINT_PAGES = 250  # 1 MB: the log stays within the room that the ballast gives back
_SALVAGE_BYTES = 64_000_000


def claim(path: Path) -> int:
    """A lock that goes with the process: two boxes on one outbox would deliver everything twice."""
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as cause:
        os.close(lock)
        raise StorageError(
            f"outbox {path}: another process uses it; end that one, or give this box its own outbox.path"
        ) from cause
    return lock


def open_file(path: Path) -> sqlite3.Connection:
    """A connection for the writer; any thread may use it, one at a time.

    Raises:
        StorageError: the file belongs to a newer edgeflow.
        sqlite3.DatabaseError: damaged, see :func:`is_damage`, or not to be opened.
    """
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level=None)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that reads beside the writer, and never waits for its disk."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def check_file(path: Path) -> None:
    """Look through the whole file, beside its writer.

    Raises:
        sqlite3.DatabaseError: it is damaged, see :func:`is_damage`.
    """
    with contextlib.closing(read_only(path)) as connection:
        _check(connection)


def is_damage(cause: BaseException) -> bool:
    """Whether the file itself is broken; everything else (no room, no rights) may pass."""
    return type(cause) is sqlite3.DatabaseError


def is_full(cause: BaseException) -> bool:
    """Whether there is no room for more."""
    return isinstance(cause, sqlite3.OperationalError) and "full" in str(cause)


def set_aside(path: Path, cause: BaseException) -> Path:
    """Rename a file that is damaged, with its companions; nothing of it is deleted."""
    stamp = utc_text().replace(":", "").replace("-", "")
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    logger.warning("outbox %s is damaged (%s): kept as %s, a new one is begun", path, cause, kept.name)
    for suffix in ("", "-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(kept.with_name(kept.name + suffix))
    return kept


def salvage(connection: sqlite3.Connection) -> list[Entry]:
    """The results that a damaged file still gives, from both ends towards the damage."""
    found: dict[str, Entry] = {}
    size = 0
    for order in ("ASC", "DESC"):
        # The order is one of two words of ours.
        query = f"SELECT result_id, verdict, worth, payload FROM results ORDER BY id {order}"  # noqa: S608
        with contextlib.suppress(sqlite3.Error):
            for result_id, verdict, worth, payload in connection.execute(query):
                if result_id in found or size > _SALVAGE_BYTES:
                    break
                whole = isinstance(payload, bytes) and payload.startswith(b"{") and payload.endswith(b"}")
                if isinstance(result_id, str) and isinstance(verdict, str) and whole:
                    entry = Entry(
                        result_id=result_id, verdict=verdict, worth=int(worth), payload=bytes(payload)
                    )
                    found[result_id] = entry
                    size += entry.size
    return list(found.values())


@contextlib.contextmanager
def mapped(path: Path, what: str) -> Iterator[None]:
    """SQLite's and the system's errors as StorageError."""
    try:
        yield
    except (sqlite3.Error, OSError) as cause:
        raise StorageError(
            f"outbox {path}: cannot be {what}: {cause}; check that the disk has room and that "
            "this user may write there, or change outbox.path"
        ) from cause


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    _check(connection)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > _FORMAT:
        raise StorageError(
            f"outbox {path}: written by a newer edgeflow (format {version}, this one knows {_FORMAT}); "
            "update edgeflow, or move the file away"
        )
    connection.executescript(_SCHEMA)
    connection.execute("BEGIN IMMEDIATE")
    if version == 1:
        for statement in _TO_FORMAT_2:
            connection.execute(statement)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (str(uuid.uuid4()),))
    connection.execute(f"PRAGMA user_version = {_FORMAT}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError("the integrity check found damage")
