"""Figures of one shift, from the history: counts, trends, alarms, times, NG parts, the shift before."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader, TrendPoint
from edgeflow.history.records import AlarmSpan, Gap, PartRecord
from edgeflow.history.shifts import Shift, ShiftPlan
from edgeflow.history.statistics import Statistics, statistics_of
from edgeflow.monitoring.drift.part import DriftState
from edgeflow.monitoring.drift.trend import DriftTrend, drift_trend

__all__ = ["MOST_PARTS", "BundleUse", "ClockStep", "ShiftReport", "StageTimes", "ViewTrend", "shift_report"]

MOST_PARTS = 48
"""NG parts with pictures; a shift with more of them names their number."""
_TREND = 20_000
_STEP_MS = 2000


@dataclass(frozen=True, kw_only=True)
class ViewTrend:
    """Scores of one view; ``drift`` is None where they cannot be compared with the reference.

    Attributes:
        product: on a box with several.
    """

    view: str
    product: str | None
    points: Sequence[TrendPoint]
    drift: DriftTrend | None


@dataclass(frozen=True, kw_only=True)
class BundleUse:
    """A bundle and graph that decided, and how many parts."""

    name: str
    version: int
    sha256: str
    graph: str
    parts: int


@dataclass(frozen=True, kw_only=True)
class StageTimes:
    """Milliseconds of one stage."""

    stage: str
    p50_ms: float
    p95_ms: float
    p99_ms: float
    most_ms: float


@dataclass(frozen=True, kw_only=True)
class ClockStep:
    """The wall clock went back between two results.

    Attributes:
        at: of the later one, by the clock after the step; aware, UTC.
    """

    at: datetime
    back_s: float


@dataclass(frozen=True, kw_only=True)
class ShiftReport:
    """All figures of one shift.

    Attributes:
        now: aware, UTC; the shift is not over where this is before its end.
        clock_change: difference of the site's clock to UTC at the end, less that at the beginning: an hour on
            the two days a year when clocks change, else nothing.
        ng: of the latest NG parts, at most ``MOST_PARTS``.
        gaps: within the shift.
    """

    shift: Shift
    before: Shift
    zone: ZoneInfo
    now: datetime
    clock_change: timedelta
    statistics: Statistics
    statistics_before: Statistics
    trends: tuple[ViewTrend, ...]
    alarms: tuple[AlarmSpan, ...]
    times: tuple[StageTimes, ...]
    bundles: tuple[BundleUse, ...]
    steps: tuple[ClockStep, ...]
    gaps: tuple[Gap, ...]
    ng: tuple[PartRecord, ...]

    @property
    def is_over(self) -> bool:
        """True if the shift has ended."""
        return self.shift.end <= self.now


def shift_report(
    reader: HistoryReader,
    plan: ShiftPlan,
    shift: Shift,
    drift_of: Callable[[str | None], DriftState | None],
    now: datetime,
) -> ShiftReport:
    """Gather the figures of a shift.

    Args:
        drift_of: product → state of the drift watch; None where there is none.
        now: aware, UTC.

    Raises:
        StorageError: the history cannot be read.
    """
    chosen, before = ResultFilter(shifts=[shift]), plan.at(shift.start - timedelta(seconds=1))
    until = min(shift.end, max(now, shift.start))
    bundles = _bundles(reader, chosen)
    change = shift.end.astimezone(plan.zone).utcoffset(), shift.start.astimezone(plan.zone).utcoffset()
    return ShiftReport(
        shift=shift,
        before=before,
        zone=plan.zone,
        now=now,
        clock_change=(change[0] or timedelta()) - (change[1] or timedelta()),
        statistics=statistics_of(reader, chosen, [shift]),
        statistics_before=statistics_of(reader, ResultFilter(shifts=[before]), [before]),
        trends=tuple(_trends(reader, chosen, drift_of)),
        alarms=tuple(reader.alarms(shift.start, until)),
        times=tuple(_times(reader, chosen)),
        bundles=tuple(bundles),
        steps=tuple(_steps(reader, chosen)),
        gaps=tuple(gap for gap in reader.gaps(shift.start) if gap.at < shift.end),
        ng=tuple(_ng_parts(reader, chosen)),
    )


def _trends(
    reader: HistoryReader, chosen: ResultFilter, drift_of: Callable[[str | None], DriftState | None]
) -> list[ViewTrend]:
    """Return the scores of every view, on a box with several products of each product by itself."""
    named = sorted(
        name for (name,) in reader.select("DISTINCT r.product", chosen) if name is not None
    )  # parts of no product have no scores
    trends = []
    for product in named or [None]:
        own = chosen if product is None else replace(chosen, of_product=product)
        bundles, drift = _bundles(reader, own), drift_of(product)
        latest = bundles[-1].sha256 if bundles else ""
        for view in reader.view_names():
            points = reader.trend(view, own, count=_TREND)
            if points:
                found = drift_trend(drift, view, latest, [point.score for point in points])
                trends.append(ViewTrend(view=view, product=product, points=points, drift=found))
    return trends


def _bundles(reader: HistoryReader, chosen: ResultFilter) -> list[BundleUse]:
    """Return the bundles in the order in which they came."""
    of_bundle = "(SELECT {} FROM bundles b WHERE b.id = r.bundle)"
    columns = ", ".join(of_bundle.format(name) for name in ("name", "version", "sha256", "graph"))
    found = reader.select(f"{columns}, COUNT(*)", chosen, end=" GROUP BY r.bundle ORDER BY MAX(r.id)")
    return [
        BundleUse(name=name, version=version, sha256=sha256, graph=graph, parts=parts)
        for name, version, sha256, graph, parts in found
    ]


def _times(reader: HistoryReader, chosen: ResultFilter) -> list[StageTimes]:
    stages: dict[str, list[float]] = {}
    for (text,) in reader.select("r.durations", chosen):
        durations: Mapping[str, float] = json.loads(text)
        for stage, value in durations.items():
            stages.setdefault(stage, []).append(value)
    return [
        StageTimes(stage=stage, **_quantiles(values)) for stage, values in stages.items() if len(values) > 0
    ]


def _quantiles(values: Sequence[float]) -> dict[str, float]:
    names = ("p50_ms", "p95_ms", "p99_ms", "most_ms")
    return dict(zip(names, np.percentile(values, [50, 95, 99, 100]).round(2).tolist(), strict=True))


def _steps(reader: HistoryReader, chosen: ResultFilter) -> list[ClockStep]:
    """Return where the clock of results goes back, in the order in which they were recorded."""
    rows = np.array(sorted(reader.select("r.id, r.decided_ms", chosen)), np.int64).reshape(-1, 2)
    moved_ms = np.diff(rows[:, 1])
    return [
        ClockStep(
            at=datetime.fromtimestamp(rows[place + 1, 1] / 1000, ZoneInfo("UTC")),
            back_s=-moved_ms[place] / 1e3,
        )
        for place in np.flatnonzero(moved_ms < -_STEP_MS).tolist()
    ]


def _ng_parts(reader: HistoryReader, chosen: ResultFilter) -> list[PartRecord]:
    rows = reader.rows(replace(chosen, verdicts=("NG",)), count=MOST_PARTS)
    records = (reader.part(row.result_id) for row in rows)
    return [record for record in records if record is not None]
