"""Figures of a running collector, and their form for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from edgeflow.collector.records import ResultRow, Row
from edgeflow.collector.stores.store import Written

__all__ = ["CollectorCounts", "CollectorFigures", "CollectorMetrics"]

_BOUNDS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(kw_only=True)
class CollectorCounts:
    """Counts of one collector since its start.

    Attributes:
        lag_s: of the latest batch: from the oldest fresh decision in it to its commit, by both clocks.
        commit_buckets: batches by the time that they took, from the first attempt to the commit.
    """

    new: int = 0
    known: int = 0
    aside: int = 0
    batches: int = 0
    failures: int = 0
    lag_s: float = 0.0
    commit_s: float = 0.0
    commit_buckets: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS_S) + 1))

    def committed(self, written: Written, rows: Sequence[Row], *, seconds: float, now: datetime) -> None:
        """Count a batch."""
        self.new += written.new
        self.known += written.known
        self.aside += written.aside
        self.batches += 1
        self.commit_s += seconds
        self.commit_buckets[bisect_left(_BOUNDS_S, seconds)] += 1
        fresh = [row.decided_at for row in rows if isinstance(row, ResultRow) and not row.replayed]
        if fresh:
            self.lag_s = max(0.0, (now - min(fresh)).total_seconds())


@dataclass(frozen=True, kw_only=True)
class CollectorFigures:
    """Everything that metrics and status tell, at one moment."""

    counts: CollectorCounts
    connected: bool
    collecting: bool
    database_up: bool
    waiting: int
    oldest_age_s: float
    refused: int
    others: int
    two_boxes: int


class CollectorMetrics(Collector):
    """Makes all metrics at every reading."""

    def __init__(self, figures: Callable[[], CollectorFigures], about: dict[str, str]) -> None:
        self._figures = figures
        self._about = about

    def describe(self) -> Iterable[Metric]:
        """Return nothing: figures need not be there when this is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        now = self._figures()
        counts = now.counts
        yield InfoMetricFamily("edgeflow_collector", "The collector, and its program.", value=self._about)
        results = CounterMetricFamily("edgeflow_collector_results", "Committed results.", labels=("kind",))
        for kind, count in (("new", counts.new), ("known", counts.known), ("set_aside", counts.aside)):
            results.add_metric([kind], count)
        yield results
        text = "Messages that were not taken for want of memory."
        yield CounterMetricFamily("edgeflow_collector_refused", text, now.refused)
        text = "Attempts to commit that failed."
        yield CounterMetricFamily("edgeflow_collector_commit_failures", text, counts.failures)
        gauges = (
            ("broker_connected", "1 while a connection stands.", now.connected),
            ("collecting", "1 while results are subscribed to.", now.collecting),
            ("database_up", "1 while the database takes results.", now.database_up),
            ("waiting_results", "Results that wait for the database.", now.waiting),
            ("oldest_waiting_seconds", "Since the oldest of them came.", now.oldest_age_s),
            ("lag_seconds", "From decision to commit in the latest batch, by two clocks.", counts.lag_s),
            ("other_consumers", "Other consumers that acknowledge results.", now.others),
            ("boxes_with_one_name", "Names under which two boxes run.", now.two_boxes),
        )
        for name, text, value in gauges:
            yield GaugeMetricFamily(f"edgeflow_collector_{name}", text, float(value))
        yield self._commits(counts)

    @staticmethod
    def _commits(counts: CollectorCounts) -> Metric:
        total, buckets = 0, []
        for bound, count in zip((*map(str, _BOUNDS_S), "+Inf"), counts.commit_buckets, strict=True):
            total += count
            buckets.append((bound, float(total)))
        text = "Time to commit a batch."
        return HistogramMetricFamily("edgeflow_collector_commit_seconds", text, buckets, counts.commit_s)
