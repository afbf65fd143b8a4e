"""Monthly partitions of the table ``results``: made ahead, and dropped when they are old."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import sql

__all__ = ["MonthlyPartitions", "month_of", "months_on"]

logger = logging.getLogger(__name__)

_NAME = re.compile(r"results_([0-9]{4})_([0-9]{2})")
_PAST_MONTHS = 24  # what is older comes from a clock that is wrong, and gets no partition


class MonthlyPartitions:
    """Makes and drops partitions on a connection that commits by itself.

    Results outside the months from the retention (or two years ago) until ``months_ahead`` belong to clocks
    that are wrong, and stay in the partition ``results_other``.
    """

    def __init__(self, *, months_ahead: int, keep: timedelta | None) -> None:
        self._ahead = months_ahead
        self._keep = keep
        self._known: set[datetime] = set()

    def make_for(
        self, connection: psycopg.Connection[Any], moments: Iterable[datetime], now: datetime
    ) -> None:
        """Make the months of these moments that are not there."""
        wanted = {month_of(moment) for moment in moments} - self._known
        for month in sorted(wanted):
            if self._has_partition(month, now):
                self._make(connection, month)

    def make_ahead(self, connection: psycopg.Connection[Any], now: datetime) -> None:
        """Make this month and the next ones."""
        for months in range(self._ahead + 1):
            self._make(connection, months_on(month_of(now), months))

    def drop_old(self, connection: psycopg.Connection[Any], now: datetime) -> None:
        """Drop the months that have ended before the retention begins, and old rows of other tables."""
        if self._keep is None:
            return
        begin = now - self._keep
        for name, month in self._present(connection):
            if months_on(month, 1) <= begin:
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
                self._known.discard(month)
                logger.info("results of %s are dropped, as store retention wants", month.strftime("%Y-%m"))
        with connection.transaction():
            connection.execute("DELETE FROM results_other WHERE collected_at < %s", (begin,))
            connection.execute("DELETE FROM dropped WHERE collected_at < %s", (begin,))
            connection.execute("DELETE FROM set_aside WHERE set_aside_at < %s", (begin,))
            connection.execute("DELETE FROM postings WHERE made_at < %s", (begin,))

    def _has_partition(self, month: datetime, now: datetime) -> bool:
        if month > months_on(month_of(now), self._ahead) or month < months_on(month_of(now), -_PAST_MONTHS):
            return False
        return self._keep is None or months_on(month, 1) > now - self._keep

    def _make(self, connection: psycopg.Connection[Any], month: datetime) -> None:
        if month in self._known:
            return
        name = sql.Identifier(f"results_{month:%Y_%m}")
        begin, end = (sql.Literal(each.isoformat()) for each in (month, months_on(month, 1)))
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(hashtext('edgeflow partitions'))")
            if month not in (known for _, known in self._present(connection)):
                connection.execute(sql.SQL("CREATE TABLE {} (LIKE results INCLUDING ALL)").format(name))
                moved = sql.SQL(
                    "WITH moved AS (DELETE FROM results_other WHERE decided_at >= {} AND decided_at < {} "
                    "RETURNING *) "
                    "INSERT INTO {} SELECT * FROM moved"
                )
                connection.execute(moved.format(begin, end, name))
                attach = sql.SQL("ALTER TABLE results ATTACH PARTITION {} FOR VALUES FROM ({}) TO ({})")
                connection.execute(attach.format(name, begin, end))
        self._known.add(month)

    @staticmethod
    def _present(connection: psycopg.Connection[Any]) -> list[tuple[str, datetime]]:
        found = connection.execute(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = 'results'::regclass ORDER BY 1"
        ).fetchall()
        named = [(name, _NAME.fullmatch(name)) for (name,) in found]
        return [(name, datetime(int(m[1]), int(m[2]), 1, tzinfo=UTC)) for name, m in named if m is not None]


def month_of(moment: datetime) -> datetime:
    """Return the beginning of a moment's month, in UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def months_on(month: datetime, count: int) -> datetime:
    """Return the beginning of a later (or earlier) month; the last that there is at most."""
    number = month.year * 12 + month.month - 1 + count
    number = min(max(number, 12), 9999 * 12 + 11)
    return month.replace(year=number // 12, month=number % 12 + 1)
