"""Rows that are set aside: kept, not sent, and restored on request; for any connection to the file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from edgeflow.clock import utc_text
from edgeflow.delivery.store.records import Aside

__all__ = ["list_aside", "restore_rows", "set_rows_aside"]

_COLUMNS = "result_id, verdict, worth, payload, stored_s, run_s, root"


def set_rows_aside(connection: sqlite3.Connection, row_ids: Iterable[int], why: str) -> int:
    """Set rows aside within the caller's transaction; return how many."""
    at = utc_text()
    statement = "UPDATE results SET aside = ?, aside_at = ? WHERE id = ? AND aside IS NULL"
    return sum(connection.execute(statement, (why, at, row_id)).rowcount for row_id in row_ids)


def restore_rows(connection: sqlite3.Connection, row_ids: Sequence[int] | None) -> int:
    """Restore rows that were set aside as the newest ones, within the caller's transaction; return how many.

    Args:
        row_ids: None for all; others are ignored.
    """
    if row_ids is None:
        found = connection.execute("SELECT id FROM results WHERE aside IS NOT NULL ORDER BY id").fetchall()
        row_ids = [row_id for (row_id,) in found]
    count = 0
    for row_id in row_ids:  # a new number each: whoever sends by number has passed the old one
        query = f"SELECT {_COLUMNS} FROM results WHERE id = ? AND aside IS NOT NULL"  # noqa: S608
        row = connection.execute(query, (row_id,)).fetchone()
        if row is not None:
            connection.execute("DELETE FROM results WHERE id = ?", (row_id,))
            places = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO results ({_COLUMNS}) VALUES ({places})", row)  # noqa: S608
            count += 1
    return count


def list_aside(connection: sqlite3.Connection) -> list[Aside]:
    """Return the rows that are set aside, oldest first."""
    columns = "id, result_id, LENGTH(payload), aside, aside_at"
    query = f"SELECT {columns} FROM results WHERE aside IS NOT NULL ORDER BY id"  # noqa: S608
    return [
        Aside(id=row_id, result_id=str(result_id), size=int(size or 0), why=str(why), since=str(since or ""))
        for row_id, result_id, size, why, since in connection.execute(query)
    ]
