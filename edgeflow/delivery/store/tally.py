"""Counts of rows and bytes in the outbox, kept in memory."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from edgeflow.delivery.store.drops import ids_bytes
from edgeflow.delivery.store.records import DROPPED, ROW_OVERHEAD

__all__ = ["Tally", "count_all", "rows_tally"]

_TALLY = (
    "COUNT(*) - COALESCE(SUM(aside IS NOT NULL), 0),"
    f" COALESCE(SUM(LENGTH(payload) + {ROW_OVERHEAD}), 0),"
    f" COALESCE(SUM(verdict = '{DROPPED}'), 0),"
    f" COALESCE(SUM(CASE WHEN verdict = '{DROPPED}' THEN LENGTH(payload) ELSE 0 END), 0),"
    " COALESCE(SUM(aside IS NOT NULL), 0)"
)


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of rows and bytes.

    Attributes:
        waiting: rows that are to be sent, records of drops included.
        bytes: of all rows.
        records: records of drops for the consumer, and what they take.
        aside: rows that are kept but not sent.
        ids_bytes: what the ids in open records of drops take.
        open_drops: whether there are such records.
    """

    waiting: int = 0
    bytes: int = 0
    records: int = 0
    record_bytes: int = 0
    aside: int = 0
    ids_bytes: int = 0
    open_drops: bool = False

    @property
    def results(self) -> int:
        """Number of results, waiting or set aside."""
        return self.waiting + self.aside - self.records

    def without(self, rows: Tally) -> Tally:
        """Return the counts after these rows were removed."""
        return Tally(
            waiting=self.waiting - rows.waiting,
            bytes=self.bytes - rows.bytes,
            records=self.records - rows.records,
            record_bytes=self.record_bytes - rows.record_bytes,
            aside=self.aside - rows.aside,
            ids_bytes=self.ids_bytes,
            open_drops=self.open_drops,
        )


def rows_tally(connection: sqlite3.Connection, where: str = "", values: tuple[object, ...] = ()) -> Tally:
    """Count the rows that meet a condition, which the caller makes from constants."""
    query = f"SELECT {_TALLY} FROM results {where}"  # noqa: S608
    waiting, size, records, record_bytes, aside = connection.execute(query, values).fetchone()
    return Tally(waiting=waiting, bytes=size, records=records, record_bytes=record_bytes, aside=aside)


def count_all(connection: sqlite3.Connection) -> Tally:
    """Count everything by reading the whole table."""
    rows = rows_tally(connection)
    return Tally(
        waiting=rows.waiting,
        bytes=rows.bytes,
        records=rows.records,
        record_bytes=rows.record_bytes,
        aside=rows.aside,
        ids_bytes=ids_bytes(connection),
        open_drops=connection.execute("SELECT 1 FROM drops WHERE open LIMIT 1").fetchone() is not None,
    )
