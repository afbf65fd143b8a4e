"""PostgreSQL: batches by COPY into a staging table, idempotent by result id, in monthly partitions."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import tuple_row

from edgeflow.collector.records import COLUMNS, DropRow, Received, ResultRow, Row, SetAside
from edgeflow.collector.settings import PostgresqlConfig
from edgeflow.collector.stores.partitions import MonthlyPartitions
from edgeflow.collector.stores.postgresql_errors import explained, first_line
from edgeflow.collector.stores.postgresql_session import first_row, prepare_session
from edgeflow.collector.stores.silence import limited
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
from edgeflow.errors import ConfigError
from edgeflow.security.secret_file import read_password

__all__ = ["PostgresqlStore"]

logger = logging.getLogger(__name__)

_CONNECTION = {
    "connect_timeout": "5",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, COLUMNS))
_STAGE = sql.SQL(
    "CREATE TEMP TABLE IF NOT EXISTS stage (LIKE results INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
)
_COPY = sql.SQL("COPY pg_temp.stage ({}) FROM STDIN").format(_COLUMNS)
_INSERT = sql.SQL("INSERT INTO results ({0}) SELECT {0} FROM pg_temp.stage ON CONFLICT DO NOTHING").format(
    _COLUMNS
)
_INSERT_AND_POST = sql.SQL(
    "WITH new AS ({} RETURNING result_id, decided_at, verdict, collected_at), post AS (INSERT INTO postings "
    "(result_id, decided_at, due_at, made_at) "
    "SELECT result_id, decided_at, collected_at, collected_at FROM new "
    "WHERE verdict = ANY(%s) ON CONFLICT DO NOTHING) SELECT count(*) FROM new"
).format(_INSERT)
_DROPPED = (
    "INSERT INTO dropped (record_id, root, first_id, last_id, count, why, at, collected_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_ASIDE = (
    "INSERT INTO set_aside (key, root, kind, result_id, reason, payload, set_aside_at) "
    "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_BOX = (
    "INSERT INTO boxes (root, session, seen_at, two_boxes_at) "
    "VALUES (%(root)s, %(session)s, %(at)s, %(two)s) "
    "ON CONFLICT (root) DO UPDATE SET session = EXCLUDED.session, "
    "seen_at = GREATEST(boxes.seen_at, EXCLUDED.seen_at), "
    "two_boxes_at = COALESCE(EXCLUDED.two_boxes_at, boxes.two_boxes_at)"
)
_TWO_BOXES_FOR = timedelta(hours=1)
_SILENT_S = 300.0  # one operation has several statements, each of which the server itself limits


class PostgresqlStore:
    """One connection, made when it is needed and again after every failure.

    Args:
        silent_s: an operation that takes longer is given up, with its connection.
    """

    def __init__(
        self,
        config: PostgresqlConfig,
        *,
        name: str,
        keep: timedelta | None,
        posted: tuple[str, ...] = (),
        silent_s: float = _SILENT_S,
    ) -> None:
        self._config = config
        self._name = name
        self._posted = list(posted)
        self._partitions = MonthlyPartitions(months_ahead=config.months_ahead, keep=keep)
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._identity = ""
        self._silent_s = silent_s
        self._migrations = migrations("postgresql")
        self._schema = sql.Identifier(config.db_schema)

    def identity(self) -> str:
        """Connect, bring the tables up to date, and return the database's own id."""
        with self._connected():
            return self._identity

    def write(self, rows: Sequence[Row], collected_at: datetime) -> Written:
        """Commit rows in one transaction."""
        with self._connected() as connection:
            results = sorted(
                (row for row in rows if isinstance(row, ResultRow)), key=lambda row: row.result_id
            )  # in one order for all collectors, so that two never wait for each other
            self._partitions.make_for(connection, {row.decided_at for row in results}, collected_at)
            with connection.transaction(), connection.cursor() as cursor:
                new = self._copy(cursor, results, collected_at) if results else 0
                aside = self._others(cursor, rows, collected_at)
                self._checked_version(connection)  # last: from here on no migration touches those tables
            return Written(new=new, known=len(results) - new, aside=aside)

    def note_boxes(self, boxes: Sequence[BoxSeen]) -> None:
        """Record when boxes were seen last."""
        rows = [
            {"root": b.root, "session": b.session, "at": b.seen_at, "two": b.seen_at if b.two_boxes else None}
            for b in sorted(boxes, key=lambda b: b.root)
        ]
        with self._connected() as connection, connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_BOX, rows)

    def maintain(self, now: datetime) -> None:
        """Make partitions ahead, and drop those that are older than the retention."""
        with self._connected() as connection:
            self._partitions.make_ahead(connection, now)
            self._partitions.drop_old(connection, now)

    def summary(self) -> StoreSummary:
        """Return what the database holds."""
        with self._connected() as connection, connection.transaction():
            results, newest = first_row(connection, "SELECT count(*), max(decided_at) FROM results")
            aside, dropped, postings, version = first_row(
                connection,
                "SELECT (SELECT count(*) FROM set_aside), (SELECT COALESCE(sum(count), 0) FROM dropped), "
                "(SELECT count(*) FROM postings), (SELECT max(version) FROM schema_version)",
            )
            boxes = connection.execute(
                "SELECT root, session, seen_at, COALESCE(two_boxes_at > now() - %s::interval, false) "
                "FROM boxes ORDER BY root",
                (_TWO_BOXES_FOR,),
            ).fetchall()
        return StoreSummary(
            kind="postgresql",
            identity=self._identity,
            schema_version=version,
            results=results,
            set_aside=aside,
            dropped=int(dropped),
            postings=postings,
            newest_at=newest,
            boxes=tuple(BoxSeen(root=r, session=s, seen_at=at, two_boxes=two) for r, s, at, two in boxes),
        )

    def aside(self, after: int, count: int) -> list[KeptAside]:
        """Return messages that are set aside."""
        with self._connected() as connection:
            found = connection.execute(
                "SELECT id, root, kind, payload, result_id, reason, set_aside_at FROM set_aside "
                "WHERE id > %s ORDER BY id LIMIT %s",
                (after, count),
            ).fetchall()
        return [
            KeptAside(
                number=number,
                source=Received(root=root, kind=kind, payload=bytes(payload)),
                result_id=result_id,
                reason=reason,
                set_aside_at=at,
            )
            for number, root, kind, payload, result_id, reason, at in found
        ]

    def take_back(self, number: int, row: Row, collected_at: datetime) -> None:
        """Commit the row of a message that was set aside."""
        with self._connected() as connection:
            results = [row] if isinstance(row, ResultRow) else []
            self._partitions.make_for(connection, {result.decided_at for result in results}, collected_at)
            with connection.transaction(), connection.cursor() as cursor:
                if results:
                    self._copy(cursor, results, collected_at)
                self._others(cursor, [row], collected_at)
                self._checked_version(connection)
                cursor.execute("DELETE FROM set_aside WHERE id = %s", (number,))

    def postings(self, now: datetime, count: int) -> list[Posting]:
        """Return results whose posting is due, reserved for a minute."""
        with self._connected() as connection, connection.transaction():
            found = connection.execute(
                "WITH due AS (SELECT result_id FROM postings WHERE due_at <= %(now)s ORDER BY due_at "
                "LIMIT %(count)s FOR UPDATE SKIP LOCKED), mine AS (UPDATE postings p "
                "SET due_at = %(now)s + interval '1 minute' "
                "FROM due WHERE p.result_id = due.result_id "
                "RETURNING p.result_id, p.decided_at, p.attempts, p.made_at) "
                "SELECT mine.result_id, mine.attempts, mine.made_at, "
                "(to_jsonb(r) - 'record' || r.record)::text FROM mine "
                "LEFT JOIN results r ON r.result_id = mine.result_id AND r.decided_at = mine.decided_at",
                {"now": now, "count": count},
            ).fetchall()
        return [
            Posting(result_id=name, attempts=attempts, made_at=made_at, document=text or "")
            for name, attempts, made_at, text in found
        ]

    def posted(self, result_ids: Sequence[str]) -> None:
        """Remove postings."""
        with self._connected() as connection, connection.transaction():
            connection.execute("DELETE FROM postings WHERE result_id = ANY(%s)", (list(result_ids),))

    def postpone(self, result_id: str, attempts: int, until: datetime) -> None:
        """Try a posting again later."""
        with self._connected() as connection, connection.transaction():
            connection.execute(
                "UPDATE postings SET attempts = %s, due_at = %s WHERE result_id = %s",
                (attempts, until, result_id),
            )

    def close(self) -> None:
        """Disconnect."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error):
                connection.close()

    def _copy(self, cursor: psycopg.Cursor[Any], results: Sequence[ResultRow], collected_at: datetime) -> int:
        cursor.execute(_STAGE)
        with cursor.copy(_COPY) as copy:
            for row in results:
                copy.write_row((*row.values, collected_at))
        if not self._posted:
            cursor.execute(_INSERT)
            return cursor.rowcount
        cursor.execute(_INSERT_AND_POST, (self._posted,))
        counted: int = (cursor.fetchone() or (0,))[0]
        return counted

    @staticmethod
    def _others(cursor: psycopg.Cursor[Any], rows: Sequence[Row], collected_at: datetime) -> int:
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
                    row.at,
                    collected_at,
                )
                cursor.execute(_DROPPED, values)
            elif isinstance(row, SetAside):
                came = row.source
                values_aside = (
                    row.key,
                    came.root,
                    came.kind,
                    row.result_id,
                    row.reason,
                    came.payload,
                    collected_at,
                )
                cursor.execute(_ASIDE, values_aside)
                aside += cursor.rowcount
        return aside

    @contextlib.contextmanager
    def _connected(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Return a context with a connection; what fails in it is explained, and the connection ends."""
        silence = None
        try:
            if self._connection is None:
                self._connection = self._connect()
            with limited(self._connection.fileno(), self._silent_s) as silence:
                yield self._connection
        except (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded) as cause:
            self.close()
            raise RowRefusedError(f"the database refuses a value: {first_line(cause)}") from cause
        except psycopg.Error as cause:
            self.close()
            silent = silence is not None and silence.over
            said = (
                f"no answer for {self._silent_s:.0f} s; does its server stand still?"
                if silent
                else explained(cause)
            )
            raise StoreUnavailableError(f"PostgreSQL ({self._where()}): {said}") from cause
        except BaseException:
            self.close()
            raise

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        connection = psycopg.connect(self._conninfo(), autocommit=True, row_factory=tuple_row)
        try:
            with limited(connection.fileno(), self._silent_s):
                self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        """Give a new connection its settings, and bring the tables up to date."""
        prepare_session(connection, self._config.db_schema, self._where())
        self._bring_up_to_date(connection)
        self._identity = str(first_row(connection, "SELECT id FROM identity")[0])

    def _conninfo(self) -> str:
        try:
            given = conninfo_to_dict(self._config.connection)
        except psycopg.Error as cause:
            raise ConfigError(f"store.connection: {first_line(cause)}") from cause
        password: dict[str, str] = {}
        if self._config.password_file is not None:
            try:
                password = {"password": read_password(self._config.password_file)}
            except (OSError, UnicodeDecodeError) as cause:
                why = cause.strerror if isinstance(cause, OSError) else "not UTF-8 text"
                raise ConfigError(
                    f"store.password_file {self._config.password_file}: cannot be read: {why}"
                ) from None
        application = {"application_name": f"edgeflow collector {self._name}"[:63]}
        return make_conninfo("", **{**_CONNECTION, **application, **given, **password})

    def _bring_up_to_date(self, connection: psycopg.Connection[Any]) -> None:
        """Make the tables that are missing.

        Raises:
            NewerSchemaError: a newer edgeflow made them.
        """
        if self._checked_version(connection) == len(self._migrations):
            return
        # One collector of several makes the tables; the others wait here, and find them made.
        connection.execute("SELECT pg_advisory_lock(hashtext('edgeflow collector'))")
        try:
            with connection.transaction():
                self._migrate(connection)
        finally:
            if not connection.broken:
                connection.execute("SELECT pg_advisory_unlock(hashtext('edgeflow collector'))")

    def _migrate(self, connection: psycopg.Connection[Any]) -> None:
        version = self._checked_version(connection)
        if version == 0:
            connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(self._schema))
            connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_version "
                "(version integer PRIMARY KEY, made_at timestamptz NOT NULL)"
            )
        for number, statements in enumerate(self._migrations[version:], version + 1):
            connection.execute(statements.encode())
            connection.execute("INSERT INTO schema_version VALUES (%s, now())", (number,))
            logger.info("PostgreSQL (%s): tables are at version %d", self._where(), number)

    def _checked_version(self, connection: psycopg.Connection[Any]) -> int:
        place = f"{self._config.db_schema}.schema_version"
        if first_row(connection, "SELECT to_regclass(%s)", (place,))[0] is None:
            return 0
        version: int = first_row(connection, "SELECT COALESCE(max(version), 0) FROM schema_version")[0]
        if version > len(self._migrations):
            raise NewerSchemaError(
                f"PostgreSQL ({self._where()}): its tables have version {version}, this edgeflow knows "
                f"{len(self._migrations)}; update edgeflow here"
            )
        return version

    def _where(self) -> str:
        try:
            given = conninfo_to_dict(self._config.connection)
        except psycopg.Error:
            return "store.connection"
        return f"{given.get('host', 'local')}, database {given.get('dbname', given.get('user', ''))}"
