"""Messages to rows: a result, a notice of dropped results, or a message that is set aside. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from edgeflow.contracts.messages import Dropped, Result, from_json
from edgeflow.errors import DataError, EdgeflowError

__all__ = ["COLUMNS", "DropRow", "Received", "ResultRow", "Row", "SetAside", "read_row", "set_aside"]

COLUMNS = (
    "result_id", "root", "site", "line", "station", "box", "session", "seq", "part_id", "trigger_id",
    "product", "verdict", "reason", "reason_code", "score", "score_raw", "threshold", "worst_view", "bundle",
    "bundle_sha256", "backend", "precision", "triggered_at", "acquired_at", "decided_at", "total_ms",
    "deadline_ms", "decided_after_ms", "deadline_met", "gate_told", "evidence", "replayed", "attempt",
    "record", "collected_at",
)  # fmt: skip
"""Columns of the table ``results``, in the order of :attr:`ResultRow.values`."""

_IN_COLUMNS = frozenset(COLUMNS) | {"schema", "bundle", "deadline"}
_LONGEST = 512  # letters of an id; a database's index takes no more than some 2,700 bytes
_MOST_NUMBER = 2**63 - 1
_ID = re.compile(rb'"(?:result|record)_id"\s*:\s*"([ -!#-\[\]-~]{1,512})"')
_NEWER = re.compile(r"edgeflow/(result|dropped)/([0-9]+)")
_NEWER_TEXT = (
    "a newer edgeflow made it (schema {schema}); update the collector, then take it in with "
    "'edgeflow collect COLLECTOR --retry-set-aside'"
)


@dataclass(frozen=True, kw_only=True)
class Received:
    """One message as it came.

    Attributes:
        root: first levels of its topic, which name the box.
        kind: last level of its topic: ``result`` or ``dropped``.
        schema, session, seq: of its MQTT properties; empty where it has none.
    """

    root: str
    kind: str
    payload: bytes
    schema: str = ""
    session: str = ""
    seq: str = ""


@dataclass(frozen=True, kw_only=True)
class ResultRow:
    """A result as a row.

    Attributes:
        values: in the order of ``COLUMNS``, without the last.
        decided_at: aware.
        document: the result as it came.
    """

    source: Received
    result_id: str
    session: str
    seq: int
    replayed: bool
    verdict: str
    decided_at: datetime
    values: tuple[Any, ...]


@dataclass(frozen=True, kw_only=True)
class DropRow:
    """Results that a box gave up before they were delivered."""

    source: Received
    result_id: str
    first: str
    last: str
    count: int
    why: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """A message that cannot become a row, with the reason.

    Attributes:
        key: tells copies of it.
        result_id: what the box waits for; empty where the message does not tell it.
    """

    source: Received
    key: str
    result_id: str
    reason: str


Row = ResultRow | DropRow | SetAside


def read_row(message: Received) -> Row:
    """Return the row of a message; one that is wrong in any way is set aside, never an error."""
    try:
        if message.kind == "dropped":
            return _drop_row(message)
        return _result_row(message)
    except EdgeflowError as problem:
        return set_aside(message, _reason(message, problem))
    except (UnicodeDecodeError, json.JSONDecodeError) as problem:
        return set_aside(message, f"not JSON: {problem}")
    except (ValueError, OverflowError, RecursionError) as problem:
        return set_aside(message, f"impossible value: {problem}")


def set_aside(message: Received, reason: str) -> SetAside:
    """Return the message as one that is set aside for a reason."""
    result_id = _id_of(message)
    key = result_id or hashlib.sha256(message.payload).hexdigest()
    text = "".join(c if c.isprintable() else "?" for c in reason)
    return SetAside(
        source=message, key=f"{message.root[:_LONGEST]} {key}", result_id=result_id, reason=text[:1000]
    )


def _result_row(message: Received) -> ResultRow:
    document = json.loads(message.payload)
    try:  # a quarter of the time of the careful reader, which explains what is wrong
        result = Result.model_validate_json(message.payload, extra="ignore")
    except ValidationError:
        result = from_json(Result, message.payload)
    _check_texts(message, result.result_id, result.part_id)
    if not 0 <= result.seq <= _MOST_NUMBER:
        raise DataError(f"seq: {result.seq} is no number of a part")
    decided_at = datetime.fromisoformat(result.decided_at)
    return ResultRow(
        source=message,
        result_id=result.result_id,
        session=result.session,
        seq=result.seq,
        replayed=result.replayed,
        verdict=result.verdict,
        decided_at=decided_at,
        values=_values(message, result, document, decided_at),
    )


def _values(
    message: Received, result: Result, document: Mapping[str, Any], decided_at: datetime
) -> tuple[Any, ...]:
    site, line, station = _place(message.root)
    scored = [view for view in result.views if view.score is not None]
    worst = max(scored, key=lambda view: view.score or 0.0) if scored else None
    rest = {name: value for name, value in document.items() if name not in _IN_COLUMNS}
    bundle, deadline = result.bundle, result.deadline
    return (
        result.result_id,
        message.root,
        result.site or site,
        result.line or line,
        result.station or station,
        result.box,
        result.session,
        result.seq,
        result.part_id,
        result.trigger_id,
        result.product,
        result.verdict,
        result.reason,
        result.reason_code,
        result.score,
        result.score_raw,
        result.threshold,
        worst.id if worst else None,
        bundle.name,
        bundle.sha256,
        bundle.backend,
        bundle.precision,
        datetime.fromisoformat(result.triggered_at),
        datetime.fromisoformat(result.acquired_at),
        decided_at,
        result.durations_ms.get("total"),
        deadline.deadline_ms,
        deadline.decided_after_ms,
        deadline.met,
        result.gate_told,
        result.evidence,
        result.replayed,
        min(result.attempt, 2**31 - 1),
        json.dumps(rest, ensure_ascii=False, allow_nan=False, separators=(",", ":")),
    )


def _drop_row(message: Received) -> DropRow:
    dropped = from_json(Dropped, message.payload)
    _check_texts(message, dropped.record_id, dropped.first, dropped.last)
    return DropRow(
        source=message,
        result_id=dropped.record_id,
        first=dropped.first,
        last=dropped.last,
        count=min(dropped.count, _MOST_NUMBER),
        why=dropped.why,
        at=datetime.fromisoformat(dropped.at),
    )


def _check_texts(message: Received, *ids: str) -> None:
    """Refuse what no database takes.

    Raises:
        DataError: names it.
    """
    if b"\\u0000" in message.payload:
        raise DataError("holds a NUL character, which no text in a database can")
    message.payload.decode()
    if re.search(rb"\\u[dD][89abAB]", message.payload):  # a pair is a character, half of one is none
        json.dumps(json.loads(message.payload), ensure_ascii=False).encode()
    for text in ids:
        if not text or len(text) > _LONGEST:
            raise DataError(f"an id of {len(text)} letters, 1 to {_LONGEST} are taken")
    if len(message.root) > _LONGEST:
        raise DataError(f"a topic of {len(message.root)} letters, at most {_LONGEST} are taken")


def _place(root: str) -> tuple[str | None, str | None, str | None]:
    """Return site, line and station of a topic root: its last three levels."""
    levels = root.split("/")[-3:]
    padded: list[str | None] = [*(None for _ in range(3 - len(levels))), *levels]
    return padded[0], padded[1], padded[2]


def _reason(message: Received, problem: EdgeflowError) -> str:
    schema = _schema_of(message)
    newer = _NEWER.fullmatch(schema)
    if newer is not None and newer[2] != "1":
        return _NEWER_TEXT.format(schema=schema)
    return "; ".join([problem.message, *problem.problems[:3]])


def _schema_of(message: Received) -> str:
    try:
        document = json.loads(message.payload)
    except (ValueError, RecursionError):
        return message.schema
    found = document.get("schema") if isinstance(document, dict) else None
    return found if isinstance(found, str) else message.schema


def _id_of(message: Received) -> str:
    """Return the id that the box waits for, as far as an unreadable message tells it."""
    name = "record_id" if message.kind == "dropped" else "result_id"
    try:
        document = json.loads(message.payload)
        found = document.get(name) if isinstance(document, dict) else None
        if isinstance(found, str) and 0 < len(found) <= _LONGEST and found.isprintable():
            return found
    except (ValueError, RecursionError):
        pass
    match = _ID.search(message.payload)
    return match[1].decode("ascii") if match else ""
