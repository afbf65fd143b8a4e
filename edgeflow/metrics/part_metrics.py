"""Metrics of parts: verdicts, times of the stages and scores, counted beside the line."""

from __future__ import annotations

import queue
import threading
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from edgeflow.clock import monotonic_ns
from edgeflow.contracts.messages import Result, VerdictName
from edgeflow.metrics.histogram import Histogram, HistogramFigures, Quantiles, quantiles

__all__ = ["PartFigures", "PartMetrics", "PeriodFigures", "ViewScores"]

QUEUE_SIZE = 4096
"""Events that wait to be counted; the line drops them beyond that."""
_LATEST = 500  # scores of a view of which quantiles are told
_LONGEST_PERIOD = 5000  # values of a stage or view that one message sums up
_SHORT_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_LONG_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
_LATER: dict[str, Sequence[float]] = {"store": _LONG_S, "deliver": _LONG_S}


@dataclass(frozen=True, kw_only=True)
class ViewScores:
    """Scores of one view: how many since the start and their sum, and quantiles of the latest 500."""

    count: int
    total: float
    latest: Quantiles


@dataclass(frozen=True, kw_only=True)
class PartFigures:
    """Counts since the box started.

    Attributes:
        verdicts: parts by verdict; every verdict is there.
        reasons: parts that are not OK, by reason code.
        stages: stage → times in seconds. ``total`` is from the trigger to the verdict.
        views: view → scores, 1.0 is the threshold; of a box with several products, ``PRODUCT.VIEW``.
        products: product → parts by verdict; empty on a box with one bundle.
        uncounted: results that came faster than they could be counted.
    """

    verdicts: dict[VerdictName, int]
    reasons: dict[str, int]
    deadlines_missed: int
    stages: dict[str, HistogramFigures]
    views: dict[str, ViewScores]
    uncounted: int
    products: dict[str, dict[VerdictName, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PeriodFigures:
    """Times in ms by stage and scores by view, since the last period ended."""

    stages_ms: dict[str, Quantiles]
    views: dict[str, Quantiles]


@dataclass(frozen=True, kw_only=True)
class _Done:
    """Results that are on the disk, or confirmed, by the monotonic clock."""

    stage: Literal["store", "deliver"]
    result_ids: Sequence[str]
    at_ns: int


@dataclass(frozen=True, kw_only=True)
class _Decided:
    result: Result
    at_ns: int


class PartMetrics:
    """Counts results and what becomes of them.

    Any thread offers; that is a bounded queue which nobody waits for. ``take_in`` counts what is queued; it
    is called every second and before every reading.
    """

    def __init__(self, clock: Callable[[], int] = monotonic_ns) -> None:
        self._clock = clock
        self._events: queue.Queue[_Decided | _Done] = queue.Queue(QUEUE_SIZE)
        self._uncounted = 0
        self._lock = threading.Lock()  # for what follows; never taken by the line
        self._verdicts: Counter[VerdictName] = Counter()
        self._reasons: Counter[str] = Counter()
        self._products: dict[str, Counter[VerdictName]] = {}
        self._missed = 0
        self._stages: dict[str, Histogram] = {}
        self._scores: dict[str, deque[float]] = {}
        self._score_counts: Counter[str] = Counter()
        self._score_totals: dict[str, float] = {}
        self._decided_ns: OrderedDict[str, int] = OrderedDict()
        self._period_ms: dict[str, deque[float]] = {}
        self._period_scores: dict[str, deque[float]] = {}

    def offer(self, result: Result) -> None:
        """Take the result of a part that was just decided; for the line's thread, never waits."""
        self._put(_Decided(result=result, at_ns=self._clock()))

    def stored(self, result_ids: Sequence[str]) -> None:
        """Take note of results that are on the disk; never waits."""
        if result_ids:
            self._put(_Done(stage="store", result_ids=result_ids, at_ns=self._clock()))

    def confirmed(self, result_ids: Sequence[str]) -> None:
        """Take note of results that are delivered; never waits."""
        self._put(_Done(stage="deliver", result_ids=result_ids, at_ns=self._clock()))

    def _put(self, event: _Decided | _Done) -> None:
        try:
            self._events.put_nowait(event)
        except queue.Full:
            self._uncounted += isinstance(event, _Decided)

    def take_in(self) -> None:
        """Count what is queued."""
        with self._lock:
            for _ in range(QUEUE_SIZE):
                try:
                    event = self._events.get_nowait()
                except queue.Empty:
                    return
                if isinstance(event, _Decided):
                    self._count(event.result, event.at_ns)
                else:
                    self._count_later(event)

    def figures(self) -> PartFigures:
        """Return the counts since the start."""
        with self._lock:
            latest = {view: quantiles(scores) for view, scores in self._scores.items()}
            return PartFigures(
                verdicts={verdict: self._verdicts[verdict] for verdict in get_args(VerdictName)},
                reasons=dict(self._reasons),
                deadlines_missed=self._missed,
                stages={stage: histogram.figures() for stage, histogram in self._stages.items()},
                views={
                    view: ViewScores(
                        count=self._score_counts[view], total=self._score_totals[view], latest=found
                    )
                    for view, found in latest.items()
                    if found is not None
                },
                uncounted=self._uncounted,
                products={
                    product: {verdict: counts[verdict] for verdict in get_args(VerdictName)}
                    for product, counts in self._products.items()
                },
            )

    def end_period(self) -> PeriodFigures:
        """Return times and scores since the last call, and begin the next period."""
        with self._lock:
            times, self._period_ms = self._period_ms, {}
            scores, self._period_scores = self._period_scores, {}
        return PeriodFigures(stages_ms=_known(times), views=_known(scores))

    def _count(self, result: Result, at_ns: int) -> None:
        self._verdicts[result.verdict] += 1
        if result.product is not None:
            self._products.setdefault(result.product, Counter())[result.verdict] += 1
        if result.verdict != "OK":
            self._reasons[result.reason_code or "unknown"] += 1
        self._missed += not result.deadline.met
        scored = any(view.score_raw is not None for view in result.views)
        for stage, duration_ms in result.durations_ms.items():
            if scored or stage != "score":
                self._time(stage, duration_ms)
        for view in result.views:
            if view.score is not None:
                self._score(view.id if result.product is None else f"{result.product}.{view.id}", view.score)
        self._decided_ns[result.result_id] = at_ns
        while len(self._decided_ns) > QUEUE_SIZE:
            self._decided_ns.popitem(last=False)

    def _count_later(self, done: _Done) -> None:
        """Count how long after their decision results were stored or delivered; earlier ones are unknown."""
        for result_id in done.result_ids:
            since_ns = self._decided_ns.get(result_id)
            if since_ns is not None:
                self._time(done.stage, (done.at_ns - since_ns) / 1e6)
                if done.stage == "deliver":
                    del self._decided_ns[result_id]

    def _time(self, stage: str, duration_ms: float) -> None:
        if stage not in self._stages:
            self._stages[stage] = Histogram(_LATER.get(stage, _SHORT_S))
        self._stages[stage].add(max(0.0, duration_ms) / 1000)
        self._period_ms.setdefault(stage, deque(maxlen=_LONGEST_PERIOD)).append(duration_ms)

    def _score(self, view: str, score: float) -> None:
        self._scores.setdefault(view, deque(maxlen=_LATEST)).append(score)
        self._period_scores.setdefault(view, deque(maxlen=_LONGEST_PERIOD)).append(score)
        self._score_counts[view] += 1
        self._score_totals[view] = self._score_totals.get(view, 0.0) + score


def _known(values: dict[str, deque[float]]) -> dict[str, Quantiles]:
    found = {name: quantiles(each) for name, each in values.items()}
    return {name: each for name, each in found.items() if each is not None}
