"""Rows of the history: what the line hands over, and what readers get back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from edgeflow.contracts.datasets.part_label import KeptWhy, LabelName, PartLabel
from edgeflow.contracts.messages import Result, VerdictName

__all__ = [
    "AlarmSpan",
    "Gap",
    "HistoryEntry",
    "PartRecord",
    "PartRow",
    "Position",
    "ViewRow",
    "epoch_ms",
    "utc_of",
]


@dataclass(frozen=True, kw_only=True)
class HistoryEntry:
    """One result on its way into the history.

    Attributes:
        bundle_version: of the bundle that decided.
        has_foreground: the bundle has a foreground, so that the score of a view whose mask was not applied
            is only the highest possible one.
        kept: why the images are kept; None where they are not.
        ok_share: share of OK parts that the box kept then.
        alarms: names of the alarms that stood.
        run_s: the box's running time.
    """

    result: Result
    bundle_version: int
    has_foreground: bool
    kept: KeptWhy | None = None
    ok_share: float = 0.0
    alarms: tuple[str, ...] = ()
    run_s: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Position:
    """Latest result of a history, from which later ones are counted.

    A damaged history begins anew, and its numbers with it.

    Attributes:
        number: of that result; 0 where there is none.
        history: names the file that the number belongs to; empty where there is none, or it is of an
            earlier edgeflow.
    """

    number: int = 0
    history: str = ""


@dataclass(frozen=True, kw_only=True)
class PartRow:
    """One result as lists show it.

    Attributes:
        number: order in which results were recorded, whatever the wall clock did.
        decided_at: aware, UTC, by the wall clock of then.
        score, score_raw: of the part; None where it was not scored.
        exact: False where the scores are only the highest possible ones.
        worst_view: the first missing view, else the one with the highest score; None where none was scored.
        total_ms: from the trigger to the decision.
        evidence: folder of the images when they were kept; retention may have removed it since.
        label: the last label; None where nobody gave one.
        disputed: True if the last labels of two people differ.
        product: of a box with several; None on others, and where it was unknown.
    """

    number: int
    result_id: str
    part_id: str
    verdict: VerdictName
    reason_code: str | None
    score: float | None
    score_raw: float | None
    threshold: float | None
    exact: bool
    worst_view: str | None
    decided_at: datetime
    total_ms: float
    bundle: str
    bundle_version: int
    bundle_sha256: str
    graph: str
    evidence: str | None
    kept: KeptWhy | None
    label: LabelName | None
    kind: str | None
    disputed: bool
    product: str | None = None


@dataclass(frozen=True, kw_only=True)
class ViewRow:
    """One view of a result; ``score`` 1.0 is the threshold.

    Attributes:
        exact: False where the score is only the highest possible one.
        regions: boxes over the threshold, as in the result message.
    """

    view: str
    score: float | None
    score_raw: float | None
    threshold: float | None
    exact: bool
    frame_id: int | None
    skew_ms: float | None
    regions: tuple[Mapping[str, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class PartRecord:
    """All that the history knows of one part.

    Attributes:
        labels: every label that was given, the first one first.
    """

    row: PartRow
    trigger_id: str
    session: str
    seq: int
    reason: str
    triggered_at: str
    deadline_ms: float
    deadline_met: bool
    gate_told: bool | None
    durations_ms: Mapping[str, float]
    missing: tuple[str, ...]
    context: Mapping[str, Any]
    alarms: tuple[str, ...]
    ok_share: float
    views: tuple[ViewRow, ...]
    labels: tuple[PartLabel, ...] = field(default=())


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Results that the history lacks: between ``first`` and ``last``, both included.

    Attributes:
        at: aware, UTC, of the last one.
    """

    first: str
    last: str
    count: int
    why: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class AlarmSpan:
    """One alarm that stood for a time.

    Attributes:
        raised_at, ended_at: aware, UTC; the end is None while it stands.
    """

    code: str
    subject: str
    severity: str
    text: str
    raised_at: datetime
    ended_at: datetime | None


def epoch_ms(text: str) -> int:
    """Milliseconds since 1970 of an RFC 3339 time with ``Z``."""
    return round(datetime.fromisoformat(_with_offset(text)).timestamp() * 1000)


def utc_of(ms: int) -> datetime:
    """The moment as an aware UTC time."""
    return datetime.fromtimestamp(ms / 1000, UTC)


def _with_offset(text: str) -> str:
    """The text as Python 3.11 reads it: at most six digits of a second's fraction."""
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return f"{whole}.{fraction[:6] or '0':0<6}+00:00"
