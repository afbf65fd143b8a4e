"""Records of the outbox: stored results, dropped results, rows that are set aside, and the limits."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgeflow.contracts.messages import Result, VerdictName, to_json

__all__ = [
    "DROPPED",
    "RECORD_PRIORITY",
    "ROW_OVERHEAD",
    "Aside",
    "Drop",
    "Entry",
    "Limits",
    "Row",
    "entry_of",
    "fault_of",
    "record_entry",
]

DROPPED = "DROPPED"
"""In place of a verdict: the row is a record of dropped results."""

ROW_OVERHEAD = 300  # bytes of a row beside its payload, indexes included
RECORD_PRIORITY = 9  # above every result: a record of drops is not dropped for a result
# The lowest priority is dropped first when the outbox is full.
_PRIORITY: dict[VerdictName, int] = {"OK": 0, "UNDECIDED": 1, "NG": 2}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of the outbox; beyond them the oldest OK results are dropped first, then UNDECIDED, NG last.

    Attributes:
        bytes: payloads and their rows; the file may be a little larger.
        age_s: results go when the box ran for so long since, whatever their verdict.
        disk_full: ``bytes`` is what a full disk allows.
    """

    rows: int
    bytes: int = 256_000_000
    age_s: float = 72 * 3600.0
    disk_full: bool = False


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One result (or record of drops) ready to be stored.

    Attributes:
        root: topics of the station that made it; empty where that is not known.
        aside: why it is not sent; empty for a result that waits to be sent.
    """

    result_id: str
    verdict: str
    priority: int
    payload: bytes
    root: str = ""
    aside: str = ""

    @property
    def size(self) -> int:
        """Bytes of the row, as the limits count them."""
        return len(self.payload) + ROW_OVERHEAD


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stored result; ``id`` grows with every put and is never used twice in one database.

    Attributes:
        root: topics of the station that made it; empty where an earlier edgeflow stored it.
    """

    id: int
    result_id: str
    verdict: str
    payload: bytes
    root: str = ""

    @cached_property
    def record(self) -> Any:
        """The payload parsed, once.

        Raises:
            ValueError, RecursionError: it is not JSON.
        """
        return json.loads(self.payload)


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A result that is kept but not sent.

    Attributes:
        size: bytes of its payload.
        since: UTC text, for display.
    """

    id: int
    result_id: str
    size: int
    why: str
    since: str


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Record of dropped results: the first and the last result id, their number, and the reason."""

    first: str
    last: str
    count: int
    why: str
    at: str


def entry_of(result: Result, root: str = "") -> Entry:
    """Return a result as it is stored."""
    return Entry(
        result_id=result.result_id,
        verdict=result.verdict,
        priority=_PRIORITY[result.verdict],
        payload=to_json(result),
        root=root,
    )


def record_entry(record_id: str, payload: bytes, root: str = "") -> Entry:
    """Return a record of drops as it is stored."""
    return Entry(result_id=record_id, verdict=DROPPED, priority=RECORD_PRIORITY, payload=payload, root=root)


def fault_of(row: Row) -> str:
    """Return why a stored row can never be delivered and confirmed; empty where it can."""
    try:
        record = row.record
    except (ValueError, RecursionError):
        return "unreadable: it is not JSON; the file was damaged there"
    if not isinstance(record, dict):
        return "unreadable: it is no message; the file was damaged there"
    names = ("schema", "record_id") if row.verdict == DROPPED else ("schema", "result_id", "session")
    lacking = [name for name in names if not isinstance(record.get(name), str)]
    if row.verdict != DROPPED and type(record.get("seq")) is not int:
        lacking.append("seq")
    if lacking:
        return f"unreadable: it has no {', '.join(lacking)}; the file was damaged there"
    if record[names[1]] != row.result_id:
        return f"unreadable: it names another {names[1]} than its row; nobody could confirm it"
    return ""
