"""SQLite: one file on this computer, for sites without a database server."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from edgeflow.collector.records import COLUMNS, DropRow, Received, ResultRow, Row, SetAside
from edgeflow.collector.settings import SqliteConfig
from edgeflow.collector.stores.store import (
    BoxSeen,
    KeptAside,
    NewerSchemaError,
    Posting,
    RowRefusedError,
    StoreSummary,
    StoreUnavailableError,
    Written,
    migrations,
)

__all__ = ["SqliteStore"]

_BUSY_S = 5.0
_LOG_BYTES = 64_000_000
_RESULT = (
    f"INSERT INTO results ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))}) "  # noqa: S608 - our names
    "ON CONFLICT (result_id) DO NOTHING"
)
_DROPPED = "INSERT INTO dropped VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (record_id) DO NOTHING"
_ASIDE = (
    "INSERT INTO set_aside (key, root, kind, result_id, reason, payload, set_aside_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
)
_POST = (
    "INSERT INTO postings SELECT result_id, decided_at, 0, collected_at, collected_at FROM results "
    "WHERE result_id = ? AND collected_at = ? ON CONFLICT (result_id) DO NOTHING"
)
_BOX = (
    "INSERT INTO boxes VALUES (?, ?, ?, ?) ON CONFLICT (root) DO UPDATE SET session = excluded.session, "
    "seen_at = MAX(seen_at, excluded.seen_at), two_boxes_at = COALESCE(excluded.two_boxes_at, two_boxes_at)"
)
_TWO_BOXES_FOR = timedelta(hours=1)
_DELETED_AT_ONCE = 5000


class SqliteStore:
    """One connection, made when it is needed and again after every failure."""

    def __init__(self, config: SqliteConfig, *, keep: timedelta | None, posted: tuple[str, ...] = ()) -> None:
        self._path = config.path
        self._keep = keep
        self._posted = posted
        self._connection: sqlite3.Connection | None = None
        self._identity = ""

    def identity(self) -> str:
        """Open the file, bring its tables up to date, and return the database's own id."""
        with self._connected():
            return self._identity

    def write(self, rows: Sequence[Row], collected_at: datetime) -> Written:
        """Commit rows in one transaction."""
        at = _text(collected_at)
        results = [row for row in rows if isinstance(row, ResultRow)]
        with self._transaction() as connection:
            before = connection.total_changes
            connection.executemany(_RESULT, [_values(row, at) for row in results])
            new = connection.total_changes - before
            for row in results:
                if row.verdict in self._posted:
                    connection.execute(_POST, (row.result_id, at))
            aside = _others(connection, rows, at)
        return Written(new=new, known=len(results) - new, aside=aside)

    def note_boxes(self, boxes: Sequence[BoxSeen]) -> None:
        """Record when boxes were seen last."""
        rows = [
            (box.root, box.session, _text(box.seen_at), _text(box.seen_at) if box.two_boxes else None)
            for box in boxes
        ]
        with self._transaction() as connection:
            connection.executemany(_BOX, rows)

    def maintain(self, now: datetime) -> None:
        """Remove what is older than the retention, some thousand rows at once."""
        if self._keep is None:
            return
        begin = _text(now - self._keep)
        removed = _DELETED_AT_ONCE
        while removed == _DELETED_AT_ONCE:
            with self._transaction() as connection:
                removed = connection.execute(
                    "DELETE FROM results WHERE rowid IN (SELECT rowid FROM results WHERE decided_at < ? AND "
                    "collected_at < ? LIMIT ?)",
                    (begin, begin, _DELETED_AT_ONCE),
                ).rowcount
        with self._transaction() as connection:
            connection.execute("DELETE FROM dropped WHERE collected_at < ?", (begin,))
            connection.execute("DELETE FROM set_aside WHERE set_aside_at < ?", (begin,))
            connection.execute("DELETE FROM postings WHERE made_at < ?", (begin,))

    def summary(self) -> StoreSummary:
        """Return what the database holds."""
        since = _text(datetime.now(UTC) - _TWO_BOXES_FOR)
        with self._connected() as connection:
            counts = [
                connection.execute(query).fetchone()[0]
                for query in (
                    "SELECT count(*) FROM results",
                    "SELECT count(*) FROM set_aside",
                    "SELECT COALESCE(sum(count), 0) FROM dropped",
                    "SELECT count(*) FROM postings",
                    "SELECT max(decided_at) FROM results",
                    "PRAGMA user_version",
                )
            ]
            boxes = connection.execute(
                "SELECT root, session, seen_at, COALESCE(two_boxes_at > ?, 0) FROM boxes ORDER BY root",
                (since,),
            ).fetchall()
        results, aside, dropped, postings, newest, version = counts
        return StoreSummary(
            kind="sqlite",
            identity=self._identity,
            schema_version=version,
            results=results,
            set_aside=aside,
            dropped=dropped,
            postings=postings,
            newest_at=None if newest is None else datetime.fromisoformat(newest),
            boxes=tuple(
                BoxSeen(root=r, session=s, seen_at=datetime.fromisoformat(at), two_boxes=bool(two))
                for r, s, at, two in boxes
            ),
        )

    def aside(self, after: int, count: int) -> list[KeptAside]:
        """Return messages that are set aside."""
        with self._connected() as connection:
            found = connection.execute(
                "SELECT id, root, kind, payload, result_id, reason, set_aside_at FROM set_aside WHERE id > ? "
                "ORDER BY id LIMIT ?",
                (after, count),
            ).fetchall()
        return [
            KeptAside(
                number=number,
                source=Received(root=root, kind=kind, payload=payload),
                result_id=result_id,
                reason=reason,
                set_aside_at=datetime.fromisoformat(at),
            )
            for number, root, kind, payload, result_id, reason, at in found
        ]

    def take_back(self, number: int, row: Row, collected_at: datetime) -> None:
        """Commit the row of a message that was set aside."""
        at = _text(collected_at)
        with self._transaction() as connection:
            if isinstance(row, ResultRow):
                connection.execute(_RESULT, _values(row, at))
                if row.verdict in self._posted:
                    connection.execute(_POST, (row.result_id, at))
            _others(connection, [row], at)
            connection.execute("DELETE FROM set_aside WHERE id = ?", (number,))

    def postings(self, now: datetime, count: int) -> list[Posting]:
        """Return results whose posting is due, reserved for a minute."""
        with self._transaction() as connection:
            names = [
                (name, attempts, datetime.fromisoformat(made_at))
                for name, attempts, made_at in connection.execute(
                    "SELECT result_id, attempts, made_at FROM postings "
                    "WHERE due_at <= ? ORDER BY due_at LIMIT ?",
                    (_text(now), count),
                )
            ]
            later = _text(now + timedelta(minutes=1))
            connection.executemany(
                "UPDATE postings SET due_at = ? WHERE result_id = ?", [(later, n) for n, _, _ in names]
            )
            return [
                Posting(
                    result_id=name, attempts=attempts, made_at=made_at, document=_document(connection, name)
                )
                for name, attempts, made_at in names
            ]

    def posted(self, result_ids: Sequence[str]) -> None:
        """Remove postings."""
        with self._transaction() as connection:
            connection.executemany(
                "DELETE FROM postings WHERE result_id = ?", [(name,) for name in result_ids]
            )

    def postpone(self, result_id: str, attempts: int, until: datetime) -> None:
        """Try a posting again later."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE postings SET attempts = ?, due_at = ? WHERE result_id = ?",
                (attempts, _text(until), result_id),
            )

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield connection
            connection.execute(
                "COMMIT"
            )  # where it does not come to this, the connection is closed, uncommitted

    @contextlib.contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._connection is None:
                self._connection = self._open()
            yield self._connection
        except (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.InterfaceError, OverflowError) as cause:
            self.close()
            raise RowRefusedError(f"the database refuses a value: {cause}") from cause
        except (sqlite3.Error, OSError) as cause:
            self.close()
            raise StoreUnavailableError(f"database {self._path}: {_explained(cause)}") from cause
        except BaseException:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, check_same_thread=False, isolation_level=None
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")  # what is acknowledged outlives a power cut
            connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
            self._bring_up_to_date(connection)
            self._identity = connection.execute("SELECT id FROM identity").fetchone()[0]
        except BaseException:
            connection.close()
            raise
        return connection

    def _bring_up_to_date(self, connection: sqlite3.Connection) -> None:
        wanted = migrations("sqlite")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(wanted):
            raise NewerSchemaError(
                f"database {self._path}: its tables have version {version}, this edgeflow knows "
                f"{len(wanted)}; update edgeflow here"
            )
        for number in range(version + 1, len(wanted) + 1):
            connection.executescript(
                f"BEGIN IMMEDIATE;\n{wanted[number - 1]}\nPRAGMA user_version = {number};\nCOMMIT;"
            )


def _values(row: ResultRow, at: str) -> tuple[Any, ...]:
    return (*(_text(value) if isinstance(value, datetime) else value for value in row.values), at)


def _others(connection: sqlite3.Connection, rows: Sequence[Row], at: str) -> int:
    aside = 0
    for row in rows:
        if isinstance(row, DropRow):
            values = (
                row.result_id,
                row.source.root,
                row.first,
                row.last,
                row.count,
                row.why,
                _text(row.at),
                at,
            )
            connection.execute(_DROPPED, values)
        elif isinstance(row, SetAside):
            came = row.source
            kept = (row.key, came.root, came.kind, row.result_id, row.reason, came.payload, at)
            aside += connection.execute(_ASIDE, kept).rowcount
    return aside


def _document(connection: sqlite3.Connection, result_id: str) -> str:
    names = [name for name in COLUMNS if name != "record"]
    pairs = ", ".join(f"'{name}', {name}" for name in names)
    found = connection.execute(
        f"SELECT json_patch(json_object({pairs}), record) FROM results WHERE result_id = ?",  # noqa: S608 - our names
        (result_id,),
    ).fetchone()
    return found[0] if found else ""


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _explained(cause: Exception) -> str:
    text = str(cause)
    if "full" in text:
        return f"{text}; make room on the disk"
    if "readonly" in text or "unable to open" in text:
        return f"{text}; let this user write the file and its folder"
    if "locked" in text:
        return f"{text}; another program writes it; end that"
    if "malformed" in text or "not a database" in text:
        return f"{text}; put the file aside and start anew, the boxes keep what was not acknowledged"
    return f"{text}; check the file and its folder"
