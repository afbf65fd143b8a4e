"""Counts and rates of results: by verdict, by shift, by reason and view (Pareto), and by label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np

from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import Gap
from edgeflow.history.shifts import Shift

__all__ = ["ParetoLine", "ShiftCounts", "Statistics", "statistics_of"]

_VERDICTS = ("OK", "NG", "UNDECIDED")
_Kind = tuple[str, str | None, str | None, str | None]
"""Verdict, reason code, worst view and label."""
K = TypeVar("K", bound=Hashable)


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
    verdicts, codes, views, labels, decided_ms, total_ms, met = _columns(reader.select(columns, chosen), 7)
    kinds = Counter(zip(verdicts, codes, views, labels, strict=True))
    p50_ms, p99_ms = map(float, np.percentile(total_ms, [50, 99])) if total_ms else (None, None)
    return Statistics(
        counts={**dict.fromkeys(_VERDICTS, 0), **_summed(kinds, lambda kind: kind[0])},
        labels=_summed(kinds, lambda kind: (kind[0], kind[3]) if kind[3] is not None else None),
        shifts=tuple(_by_shift(decided_ms, verdicts, shifts)),
        reasons=pareto(_summed(kinds, lambda kind: kind[1] or "unknown" if kind[0] != "OK" else None)),
        views=pareto(_summed(kinds, lambda kind: kind[2] or "none" if kind[0] == "NG" else None)),
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        late=len(met) - sum(met),
        gaps=tuple(reader.gaps(chosen.since)),
    )


def _columns(rows: list[tuple[Any, ...]], count: int) -> list[tuple[Any, ...]]:
    return list(zip(*rows, strict=True)) if rows else [()] * count


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


def _by_shift(
    decided_ms: Sequence[int], verdicts: Sequence[str], shifts: Sequence[Shift]
) -> list[ShiftCounts]:
    """Count verdicts by shift; shifts without results are left out.

    Args:
        decided_ms: times since 1970.
        verdicts: as many.
    """
    starts = np.array([shift.start.timestamp() * 1000 for shift in shifts])
    places = np.searchsorted(starts, np.array(decided_ms, np.float64), side="right") - 1
    counts = Counter(zip(places.tolist(), verdicts, strict=True))
    return [
        ShiftCounts(shift=shifts[place], counts={verdict: counts[place, verdict] for verdict in _VERDICTS})
        for place in sorted({place for place, _ in counts})
        if place >= 0
    ]
