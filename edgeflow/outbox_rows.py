"""What the outbox holds: results, what was given up, and how much there may be."""

from __future__ import annotations

from dataclasses import dataclass

from edgeflow.contracts.messages import Result, VerdictName, to_json

__all__ = [
    "DROPPED",
    "RECORD_WORTH",
    "ROW_OVERHEAD",
    "Drop",
    "Entry",
    "Limits",
    "Row",
    "entry_of",
    "record_entry",
]

DROPPED = "DROPPED"
"""In place of a verdict: the row tells the consumer of results that were given up."""

ROW_OVERHEAD = 300  # bytes of a row beside its payload, indexes included
RECORD_WORTH = 9  # no result is worth as much: a record of drops is never dropped
# What is dropped first when the outbox is full: the lowest worth.
_WORTH: dict[VerdictName, int] = {"OK": 0, "UNDECIDED": 1, "NG": 2}


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much may wait; beyond it the oldest OK results go first, then UNDECIDED, NG last.

    Attributes:
        bytes: payloads and their rows; the file may be a little larger.
        age_s: results older than this go, whatever their verdict.
    """

    rows: int
    bytes: int = 256_000_000
    age_s: float = 72 * 3600.0


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One result (or record of drops) ready to be stored."""

    result_id: str
    verdict: str
    worth: int
    payload: bytes

    @property
    def size(self) -> int:
        return len(self.payload) + ROW_OVERHEAD


@dataclass(frozen=True, kw_only=True)
class Row:
    """One stored result; ``id`` grows with every put and is never used twice in one database."""

    id: int
    result_id: str
    verdict: str
    payload: bytes


@dataclass(frozen=True, kw_only=True)
class Drop:
    """Results that were given up: the first and the last result id, how many, and why."""

    first: str
    last: str
    count: int
    why: str
    at: str


def entry_of(result: Result) -> Entry:
    """A result as it is stored."""
    return Entry(
        result_id=result.result_id,
        verdict=result.verdict,
        worth=_WORTH[result.verdict],
        payload=to_json(result),
    )


def record_entry(record_id: str, payload: bytes) -> Entry:
    """A record of drops as it is stored."""
    return Entry(result_id=record_id, verdict=DROPPED, worth=RECORD_WORTH, payload=payload)
