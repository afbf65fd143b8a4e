"""Counts and rates of results: by verdict, by shift, by reason and view (Pareto), and by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import Gap
from edgeflow.history.shifts import Shift

__all__ = ["ParetoLine", "ShiftCounts", "Statistics", "statistics_of"]

_VERDICTS = ("OK", "NG", "UNDECIDED")


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
    columns = "r.verdict, r.reason_code, r.worst_view, r.label, r.decided_ms, r.total_ms, r.deadline_met"
    found = reader.select(columns, chosen)
    counted = {**dict.fromkeys(_VERDICTS, 0), **Counter(row[0] for row in found)}
    times = np.array([row[5] for row in found], np.float64)
    p50_ms, p99_ms = map(float, np.quantile(times, [0.5, 0.99])) if len(times) else (None, None)
    return Statistics(
        counts=counted,
        labels=Counter((row[0], row[3]) for row in found if row[3] is not None),
        shifts=tuple(_by_shift([(row[4], row[0]) for row in found], shifts)),
        reasons=pareto(Counter(row[1] or "unknown" for row in found if row[0] != "OK")),
        views=pareto(Counter(row[2] or "none" for row in found if row[0] == "NG")),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        late=sum(not row[6] for row in found),
        gaps=tuple(reader.gaps(chosen.since)),
    )


def pareto(counts: Mapping[str, int]) -> tuple[ParetoLine, ...]:
    """The most frequent first, each with its share and the share so far."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    total = sum(counts.values())
    return tuple(
        ParetoLine(name=name, count=count, share=count / total, cumulated=so_far / total)
        for (name, count), so_far in zip(ordered, accumulate(count for _, count in ordered), strict=True)
    )


def _by_shift(decided: Sequence[tuple[int, str]], shifts: Sequence[Shift]) -> list[ShiftCounts]:
    """Count verdicts by shift; shifts without results are left out.

    Args:
        decided: time in ms since 1970, and verdict.
    """
    starts = np.array([shift.start.timestamp() * 1000 for shift in shifts])
    places = np.searchsorted(starts, np.array([ms for ms, _ in decided], np.float64), side="right") - 1
    counts = Counter(zip(places.tolist(), (verdict for _, verdict in decided), strict=True))
    return [
        ShiftCounts(shift=shifts[place], counts={verdict: counts[place, verdict] for verdict in _VERDICTS})
        for place in sorted({place for place, _ in counts})
        if place >= 0
    ]
