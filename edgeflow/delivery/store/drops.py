"""Records of dropped results: written at once, published to the consumer later, bounded in size."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeflow.clock import utc_text
from edgeflow.contracts.messages import Dropped, to_json
from edgeflow.delivery.store.records import Entry, record_entry

__all__ = ["DroppedRow", "close_records", "ids_bytes", "note"]

_IDS_PER_RECORD = 500
_HISTORY = 200  # sealed records that 'edgeflow outbox status' still shows


@dataclass(frozen=True, kw_only=True)
class DroppedRow:
    """A result that is dropped.

    Attributes:
        root: topics of the station that made it.
    """

    result_id: str
    why: str
    root: str = ""


def ids_bytes(connection: sqlite3.Connection) -> int:
    """Return the bytes of the ids in open records."""
    query = "SELECT COALESCE(SUM(LENGTH(result_ids)), 0) FROM drops WHERE open"
    return int(connection.execute(query).fetchone()[0])


def note(connection: sqlite3.Connection, dropped: Sequence[DroppedRow], room: int) -> int:
    """Add results to the open record of their reason and station, within a transaction.

    Args:
        room: bytes that ids may take beside those that are noted. Without room results are only counted,
            by a record that has no ids.

    Returns:
        Bytes that ids now take more.
    """
    alike: dict[tuple[str, str], list[str]] = {}
    for row in dropped:
        alike.setdefault((row.why, row.root), []).append(row.result_id)
    added = 0
    for (why, root), result_ids in alike.items():
        for ids, ends_record in _portions(connection, why, root, result_ids):
            size = len(json.dumps(ids))
            with_ids = added + size <= room
            _add(connection, why, root, ids, anew=ends_record, with_ids=with_ids)
            added += size if with_ids else 0
    return added


def close_records(connection: sqlite3.Connection, epoch: str) -> list[Entry]:
    """Close the open records within a transaction; return each as a row for the consumer."""
    query = "SELECT id, first, last, count, why, at, result_ids, root FROM drops WHERE open ORDER BY id"
    entries = []
    for number, first, last, count, why, at, ids, root in connection.execute(query).fetchall():
        record_id = f"dropped-{epoch[:8]}-{number:06d}"
        message = Dropped(
            record_id=record_id,
            first=str(first),
            last=str(last),
            count=max(1, int(count)),
            why=str(why),
            result_ids=tuple(_noted(ids)),
            at=str(at),
        )
        entries.append(record_entry(record_id, to_json(message), str(root)))
    connection.execute("UPDATE drops SET open = 0, result_ids = '[]' WHERE open")
    newest = "SELECT MAX(id) FROM drops"
    connection.execute(f"DELETE FROM drops WHERE id <= ({newest}) - ?", (_HISTORY,))  # noqa: S608
    return entries


def _portions(
    connection: sqlite3.Connection, why: str, root: str, result_ids: list[str]
) -> Iterator[tuple[list[str], bool]]:
    """Yield the ids of one record each, and True for a new record; the first fill the newest open record."""
    found = _newest(connection, why, root, with_ids=True)
    start = 0
    if found is not None and found[1] < _IDS_PER_RECORD:
        start = _IDS_PER_RECORD - found[1]
        yield result_ids[:start], False
    for begin in range(start, len(result_ids), _IDS_PER_RECORD):
        yield result_ids[begin : begin + _IDS_PER_RECORD], True


def _add(
    connection: sqlite3.Connection, why: str, root: str, ids: list[str], *, anew: bool, with_ids: bool
) -> None:
    """Write ids into the newest open record, or into a new one."""
    found = None if anew and with_ids else _newest(connection, why, root, with_ids=with_ids)
    if found is None:
        connection.execute(
            "INSERT INTO drops (first, last, count, why, at, result_ids, open, root)"
            " VALUES (?, ?, ?, ?, ?, ?, 1, ?)",
            (ids[0], ids[-1], len(ids), why, utc_text(), json.dumps(ids if with_ids else []), root),
        )
        return
    number, count, noted = found
    noted = [*noted, *ids] if with_ids else []
    connection.execute(
        "UPDATE drops SET last = ?, count = ?, at = ?, result_ids = ? WHERE id = ?",
        (ids[-1], count + len(ids), utc_text(), json.dumps(noted), number),
    )


def _newest(
    connection: sqlite3.Connection, why: str, root: str, *, with_ids: bool
) -> tuple[int, int, list[str]] | None:
    """Return number, count and ids of the newest open record of a reason, with or without ids."""
    query = (
        "SELECT id, count, result_ids FROM drops WHERE open AND why = ? AND root = ?"
        " AND (result_ids != '[]') = ? ORDER BY id DESC LIMIT 1"
    )
    found = connection.execute(query, (why, root, with_ids)).fetchone()
    return None if found is None else (int(found[0]), int(found[1]), _noted(found[2]))


def _noted(text: object) -> list[str]:
    """Return the ids in a record; none where they cannot be read."""
    try:
        ids = json.loads(str(text))
    except ValueError:
        return []
    return [each for each in ids if isinstance(each, str)] if isinstance(ids, list) else []
