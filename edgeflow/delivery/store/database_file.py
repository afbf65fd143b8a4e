"""The outbox's file: opened, migrated, checked, and renamed when it is damaged."""

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

__all__ = [
    "check_file",
    "claim",
    "is_damage",
    "is_full",
    "is_up_to_date",
    "mapped",
    "open_file",
    "read_only",
    "set_aside",
]

logger = logging.getLogger(__name__)

_FORMAT = 3
_TABLES = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id TEXT NOT NULL UNIQUE,
    verdict TEXT NOT NULL,
    worth INTEGER NOT NULL,
    payload BLOB NOT NULL,
    stored_s REAL NOT NULL DEFAULT 0, -- seconds since 1970 by the wall clock, for display only
    run_s REAL NOT NULL DEFAULT 0, -- the box's running time, for its age
    root TEXT NOT NULL DEFAULT '',
    aside TEXT, -- why it is not sent
    aside_at TEXT
);
CREATE TABLE IF NOT EXISTS drops (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    count INTEGER NOT NULL,
    why TEXT NOT NULL,
    at TEXT NOT NULL,
    result_ids TEXT NOT NULL DEFAULT '[]',
    open INTEGER NOT NULL DEFAULT 0,
    root TEXT NOT NULL DEFAULT ''
);
"""
_ADDED = (  # to what earlier formats had
    ("results", "stored_s", "REAL NOT NULL DEFAULT 0"),
    ("results", "run_s", "REAL NOT NULL DEFAULT 0"),
    ("results", "root", "TEXT NOT NULL DEFAULT ''"),
    ("results", "aside", "TEXT"),
    ("results", "aside_at", "TEXT"),
    ("drops", "result_ids", "TEXT NOT NULL DEFAULT '[]'"),
    ("drops", "open", "INTEGER NOT NULL DEFAULT 0"),
    ("drops", "root", "TEXT NOT NULL DEFAULT ''"),
)
_INDEXES = (
    "CREATE INDEX IF NOT EXISTS results_by_worth ON results (worth, id)",
    "CREATE INDEX IF NOT EXISTS results_by_age ON results (run_s)",
    "CREATE INDEX IF NOT EXISTS results_aside ON results (id) WHERE aside IS NOT NULL",
)
_CHECKPOINT_PAGES = 250  # 1 MB: the log stays within the space that the reserve file releases


def claim(path: Path) -> int:
    """Lock the outbox for this process: two boxes on one outbox would deliver everything twice."""
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
    """Open a connection for the writer; any thread may use it, one at a time.

    Raises:
        StorageError: the file belongs to a newer edgeflow.
        sqlite3.DatabaseError: damaged, see :func:`is_damage`, or not to be opened.
    """
    connection = sqlite3.connect(path, timeout=5.0, check_same_thread=False, isolation_level=None)
    connection.text_factory = readable_text
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def read_only(path: Path) -> sqlite3.Connection:
    """Open a connection that reads beside the writer, and never waits for its disk."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, check_same_thread=False
    )
    connection.text_factory = readable_text
    connection.execute("PRAGMA query_only = ON")
    return connection


def readable_text(raw: bytes) -> str:
    """Decode the text of a column; damaged text must not prevent reading the other rows."""
    return raw.decode("utf-8", "replace")


def is_up_to_date(path: Path) -> bool:
    """Return True if the file has the present format."""
    with contextlib.closing(read_only(path)) as connection:
        return int(connection.execute("PRAGMA user_version").fetchone()[0]) == _FORMAT


def check_file(path: Path) -> None:
    """Check the whole file, beside its writer.

    Raises:
        sqlite3.DatabaseError: it is damaged, see :func:`is_damage`.
    """
    with contextlib.closing(read_only(path)) as connection:
        _check(connection)


def is_damage(cause: BaseException) -> bool:
    """Return True if the file itself is broken; all other errors (no space, no rights) may be temporary."""
    return type(cause) is sqlite3.DatabaseError


def is_full(cause: BaseException) -> bool:
    """Return True if the disk is full."""
    return isinstance(cause, sqlite3.OperationalError) and "full" in str(cause)


def set_aside(path: Path, cause: BaseException) -> Path:
    """Rename a file that is damaged, with its log; nothing that was stored is deleted."""
    stamp = utc_text().replace(":", "").replace("-", "")
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    logger.warning("outbox %s is damaged (%s): kept as %s, a new one is begun", path, cause, kept.name)
    for suffix in ("", "-wal"):
        companion = path.with_name(path.name + suffix)
        if companion.exists() and (not suffix or companion.stat().st_size):
            companion.rename(kept.with_name(kept.name + suffix))
    for suffix in ("-wal", "-shm"):  # an empty log, and what is only for running processes
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return kept


@contextlib.contextmanager
def mapped(path: Path, what: str) -> Iterator[None]:
    """Raise errors of SQLite and the system as StorageError."""
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
    if version < _FORMAT:  # a full disk could not be written for nothing
        _bring_up_to_date(connection)


def _bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Make the tables, or migrate those of an earlier format, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";\n"):
        connection.execute(statement)
    for table, column, definition in _ADDED:
        if column not in {found[1] for found in connection.execute(f"PRAGMA table_info({table})")}:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {column} {definition}")
    for statement in _INDEXES:
        connection.execute(statement)
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)", (str(uuid.uuid4()),))
    connection.execute(f"PRAGMA user_version = {_FORMAT}")
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError("the integrity check found damage")
