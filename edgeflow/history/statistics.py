"""Counts and rates of results: by verdict, by shift, by reason and view (Pareto), and by label."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import Gap
from edgeflow.history.shifts import Shift

__all__ = ["ParetoLine", "ShiftCounts", "Statistics", "statistics_of"]

_VERDICTS = ("OK", "NG", "UNDECIDED")
_Kind = tuple[str, str | None, str | None, str | None]
"""Verdict, reason code, worst view and label."""
_Numbers = npt.NDArray[np.int64]
_KINDS = "r.verdict, r.reason_code, r.worst_view, r.label, COUNT(*)"
_WANTED = (
    " AND (+r.verdict <> 'OK' OR +r.label IS NOT NULL) "
    "GROUP BY +r.verdict, +r.reason_code, +r.worst_view, +r.label"
)
"""With + before them, columns are taken from the one index that has all of them."""
_PACKED = (
    "GROUP_CONCAT(r.decided_ms * 8 + CASE r.verdict WHEN 'OK' THEN 0 WHEN 'NG' THEN 2 ELSE 4 END "
    "+ (NOT r.deadline_met), ' '), GROUP_CONCAT(CAST(r.total_ms * 1000 + 0.5 AS INTEGER), ' ')"
)
"""Milliseconds since 1970 times 8, plus twice the verdict's place, plus 1 where late; microseconds."""
K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, kw_only=True)
class _Moments:
    """All chosen results, one number each.

    Attributes:
        verdicts: places in ``_VERDICTS``.
        late: 1 for results after the deadline.
        total_us: from trigger to decision.
    """

    decided_ms: _Numbers
    verdicts: _Numbers
    late: _Numbers
    total_us: _Numbers


@dataclass(frozen=True, kw_only=True)
class ShiftCounts:
    """Verdicts of one shift."""

    shift: Shift
    counts: Mapping[str, int]

    @property
    def parts(self) -> int:
        """All results of the shift."""
        return sum(self.counts.values())

    @property
    def reject_share(self) -> float:
        """Share of NG among all results."""
        return self.counts["NG"] / self.parts if self.parts else 0.0


@dataclass(frozen=True, kw_only=True)
class ParetoLine:
    """One line of a Pareto chart; ``cumulated`` is the share of this line and all before it."""

    name: str
    count: int
    share: float
    cumulated: float


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics of a choice of results.

    Attributes:
        counts: verdict → results, for all three verdicts.
        labels: verdict and label → results.
        shifts: those with results, in order.
        reasons: reason codes of all results that are not OK, most frequent first.
        views: of NG results, the view with the highest score, most frequent first.
        p50_ms, p99_ms: from trigger to decision; None where there are no results.
        late: results that missed the deadline.
        gaps: of the whole history since the filter's begin.
    """

    counts: Mapping[str, int]
    labels: Mapping[tuple[str, str], int]
    shifts: tuple[ShiftCounts, ...]
    reasons: tuple[ParetoLine, ...]
    views: tuple[ParetoLine, ...]
    p50_ms: float | None
    p99_ms: float | None
    late: int
    gaps: tuple[Gap, ...]

    @property
    def parts(self) -> int:
        """All results."""
        return sum(self.counts.values())


def statistics_of(reader: HistoryReader, chosen: ResultFilter, shifts: Sequence[Shift]) -> Statistics:
    """Compute the statistics of the chosen results.

    Args:
        shifts: all shifts in which there may be results, in order.

    Raises:
        StorageError: the history cannot be read.
    """
    moments = _moments(reader, chosen)
    kinds: dict[_Kind, int] = {row[:4]: row[4] for row in reader.select(_KINDS, chosen, end=_WANTED)}
    p50_ms, p99_ms = _percentiles(moments.total_us)
    return Statistics(
        counts={verdict: int((moments.verdicts == v).sum()) for v, verdict in enumerate(_VERDICTS)},
        labels=_summed(kinds, lambda kind: (kind[0], kind[3]) if kind[3] is not None else None),
        shifts=tuple(_by_shift(moments, shifts)),
        reasons=pareto(_summed(kinds, lambda kind: kind[1] or "unknown" if kind[0] != "OK" else None)),
        views=pareto(_summed(kinds, lambda kind: kind[2] or "none" if kind[0] == "NG" else None)),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        late=int(moments.late.sum()),
        gaps=tuple(reader.gaps(chosen.since)),
    )


def _moments(reader: HistoryReader, chosen: ResultFilter) -> _Moments:
    """Read the time, verdict and duration of all chosen results.

    A hundred thousand rows as Python objects take half a second, one text a tenth of that.
    """
    texts = reader.select(_PACKED, chosen)[0]
    moments, total_us = (np.fromstring(text or "", np.int64, sep=" ") for text in texts)
    return _Moments(decided_ms=moments >> 3, verdicts=moments >> 1 & 3, late=moments & 1, total_us=total_us)


def _percentiles(total_us: _Numbers) -> tuple[float | None, float | None]:
    if not len(total_us):
        return None, None
    p50_us, p99_us = np.percentile(total_us, [50, 99])
    return round(float(p50_us) / 1e3, 3), round(float(p99_us) / 1e3, 3)


def _summed(kinds: Mapping[_Kind, int], key: Callable[[_Kind], K | None]) -> dict[K, int]:
    """Add up the counts of all kinds with the same key; kinds without a key are left out."""
    found: dict[K, int] = {}
    for kind, count in kinds.items():
        name = key(kind)
        if name is not None:
            found[name] = found.get(name, 0) + count
    return found


def pareto(counts: Mapping[str, int]) -> tuple[ParetoLine, ...]:
    """The most frequent first, each with its share and the share so far."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    total = sum(counts.values())
    return tuple(
        ParetoLine(name=name, count=count, share=count / total, cumulated=so_far / total)
        for (name, count), so_far in zip(ordered, accumulate(count for _, count in ordered), strict=True)
    )


def _by_shift(moments: _Moments, shifts: Sequence[Shift]) -> list[ShiftCounts]:
    """Count verdicts by shift; shifts without results are left out."""
    starts = np.array([shift.start.timestamp() * 1000 for shift in shifts])
    places = np.searchsorted(starts, moments.decided_ms, side="right") - 1
    inside = places >= 0
    kinds = places[inside] * len(_VERDICTS) + moments.verdicts[inside]
    counts = np.bincount(kinds, minlength=len(shifts) * len(_VERDICTS)).reshape(-1, len(_VERDICTS))
    return [
        ShiftCounts(shift=shift, counts=dict(zip(_VERDICTS, map(int, line), strict=True)))
        for shift, line in zip(shifts, counts, strict=True)
        if line.any()
    ]
