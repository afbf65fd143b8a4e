"""The history's database file: opened, migrated, checked, and set aside when it is damaged."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import uuid
from collections.abc import Iterator
from pathlib import Path

from edgeflow.clock import utc_text
from edgeflow.errors import StorageError

__all__ = [
    "FORMAT",
    "NewerFormatError",
    "check",
    "is_damage",
    "mapped",
    "open_for_reading",
    "open_for_writing",
    "set_aside",
]

logger = logging.getLogger(__name__)

FORMAT = 3
_BUSY_S = 5.0
_LOG_BYTES = 16_000_000
_TABLES = """
CREATE TABLE bundles (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    graph TEXT NOT NULL,
    UNIQUE (sha256, graph)
);
CREATE TABLE results (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id TEXT NOT NULL UNIQUE,
    part_id TEXT NOT NULL,
    trigger_id TEXT NOT NULL,
    session TEXT NOT NULL,
    seq INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL,
    reason_code TEXT,
    score REAL, -- 1.0 is the threshold
    score_raw REAL,
    threshold REAL, -- of score_raw
    exact INTEGER NOT NULL, -- 0: the scores are only the highest possible ones
    worst_view TEXT,
    bundle INTEGER NOT NULL REFERENCES bundles (id),
    triggered_at TEXT NOT NULL,
    decided_ms INTEGER NOT NULL, -- since 1970, by the wall clock
    run_s REAL NOT NULL, -- the box's running time, for the age
    total_ms REAL NOT NULL,
    deadline_ms REAL NOT NULL,
    deadline_met INTEGER NOT NULL,
    gate_told INTEGER,
    durations TEXT NOT NULL, -- JSON, as are the next three
    missing TEXT NOT NULL,
    context TEXT NOT NULL,
    alarms TEXT NOT NULL,
    evidence TEXT, -- folder
    kept TEXT, -- why: verdict, sample, request
    ok_share REAL NOT NULL,
    label TEXT, -- the last one, of those in labels
    kind TEXT,
    disputed INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE views (
    result INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    view TEXT NOT NULL,
    score REAL,
    score_raw REAL,
    threshold REAL,
    exact INTEGER NOT NULL,
    frame_id INTEGER,
    skew_ms REAL,
    regions TEXT, -- JSON
    PRIMARY KEY (result, view)
) WITHOUT ROWID;
CREATE TABLE labels (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    result_id TEXT NOT NULL,
    document TEXT NOT NULL -- JSON, as label.json
);
CREATE TABLE gaps (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    first TEXT NOT NULL,
    last TEXT NOT NULL,
    count INTEGER NOT NULL,
    why TEXT NOT NULL,
    at_ms INTEGER NOT NULL
);
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE INDEX results_by_time ON results (
    decided_ms, verdict, worst_view, reason_code, label, total_ms, deadline_met, bundle
);
CREATE INDEX results_by_verdict ON results (verdict, decided_ms);
CREATE INDEX results_by_part ON results (part_id);
CREATE INDEX results_by_view ON results (worst_view, verdict);
CREATE INDEX results_by_bundle ON results (bundle, verdict);
CREATE INDEX results_by_label ON results (label) WHERE label IS NOT NULL;
CREATE INDEX results_by_age ON results (run_s) WHERE label IS NULL;
CREATE INDEX labels_by_result ON labels (result_id);
"""
_ALARMS = """
CREATE TABLE alarms (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    code TEXT NOT NULL,
    subject TEXT NOT NULL,
    severity TEXT NOT NULL,
    text TEXT NOT NULL,
    raised_ms INTEGER NOT NULL,
    ended_ms INTEGER -- NULL: it stands
);
CREATE INDEX alarms_by_time ON alarms (raised_ms);
"""
_PRODUCTS = """
ALTER TABLE results ADD COLUMN product TEXT;
CREATE INDEX results_by_product ON results (product, decided_ms) WHERE product IS NOT NULL;
"""
_MIGRATIONS: tuple[str, ...] = (_TABLES, _ALARMS, _PRODUCTS)
"""Statements from each format to the next; the first makes format 1."""


class NewerFormatError(StorageError):
    """The database was written by a newer edgeflow."""


def open_for_writing(path: Path) -> sqlite3.Connection:
    """Open a connection that writes, one of several processes; the file is made or migrated if needed.

    Raises:
        NewerFormatError: it belongs to a newer edgeflow.
        sqlite3.Error, OSError: damaged, see :func:`is_damage`, or not to be opened.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None)
    connection.text_factory = _readable
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
        connection.execute("PRAGMA foreign_keys = ON")
        _bring_up_to_date(connection, path)
        _name(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open a connection that only reads, beside the box or without it.

    Raises:
        StorageError: there is no history, it cannot be read, or it belongs to another version.
    """
    if not path.exists():
        raise StorageError(
            f"history {path}: there is none yet; a running box writes it (section 'history' of the box file)"
        )
    with mapped(path, "read"):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_S, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA query_only = ON")
            found = _format(connection)
        except BaseException:
            connection.close()
            raise
    if found != FORMAT:
        connection.close()
        _refuse_newer(found, path)
        raise StorageError(
            f"history {path}: written by an earlier edgeflow (format {found}); start the box once, which "
            "brings it up to date"
        )
    return connection


def check(connection: sqlite3.Connection) -> None:
    """Check the whole file.

    Raises:
        sqlite3.DatabaseError: it is damaged.
    """
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise sqlite3.DatabaseError("the integrity check found damage")


def is_damage(cause: BaseException) -> bool:
    """Return True if the file itself is broken; all other errors (no space, no rights) may be temporary."""
    return type(cause) is sqlite3.DatabaseError


def set_aside(path: Path, cause: BaseException) -> Path:
    """Rename a damaged file, with its log; nothing that was recorded is deleted.

    Raises:
        OSError: the folder cannot be written.
    """
    stamp = utc_text().replace(":", "").replace("-", "")
    kept = path.with_name(f"{path.name}.damaged-{stamp}")
    logger.warning("history %s is damaged (%s): kept as %s, a new one is begun", path, cause, kept.name)
    path.rename(kept)
    log = path.with_name(f"{path.name}-wal")
    if log.exists():
        log.rename(kept.with_name(f"{kept.name}-wal"))
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    return kept


@contextlib.contextmanager
def mapped(path: Path, what: str) -> Iterator[None]:
    """Raise errors of SQLite and the system as StorageError."""
    try:
        yield
    except (sqlite3.Error, OSError) as cause:
        if is_damage(cause):
            raise StorageError(
                f"history {path}: is damaged ({cause}); the running box sets it aside and begins a new one; "
                "where none runs, start it"
            ) from cause
        raise StorageError(
            f"history {path}: cannot be {what}: {cause}; check that the disk has room and that this user has "
            "the right, or change history.path"
        ) from cause


def _bring_up_to_date(connection: sqlite3.Connection, path: Path) -> None:
    """Migrate step by step, each in one transaction."""
    while (found := _format(connection)) != FORMAT:
        _refuse_newer(found, path)
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _format(connection) == found:  # no other process was faster
                for statement in _MIGRATIONS[found].split(";\n"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {found + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def _name(connection: sqlite3.Connection) -> None:
    """Name a history that has no name yet; others are not written to."""
    if connection.execute("SELECT 1 FROM meta WHERE key = 'identity'").fetchone() is None:
        connection.execute("INSERT OR IGNORE INTO meta VALUES ('identity', ?)", (uuid.uuid4().hex,))


def _format(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _refuse_newer(found: int, path: Path) -> None:
    if found > FORMAT:
        raise NewerFormatError(
            f"history {path}: written by a newer edgeflow (format {found}, this one knows {FORMAT}); update "
            "edgeflow, or name another file in history.path"
        )


def _readable(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
