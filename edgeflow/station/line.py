"""Inspection line: view sets to verdicts, decisions, evidence and results."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from edgeflow.capture.view_set import ViewSet
from edgeflow.contracts.datasets.part_label import KeptWhy
from edgeflow.contracts.messages import Decision, Result, VerdictName
from edgeflow.decision.deadline import DeadlineMonitor, ScoringTime
from edgeflow.decision.decision import Policy, Verdict, answer_by_ns, decide, no_time_left
from edgeflow.decision.result import Timing
from edgeflow.errors import EdgeflowError, failure_text
from edgeflow.evidence.writer import EvidenceJob
from edgeflow.history.records import HistoryEntry
from edgeflow.live import LivePart
from edgeflow.monitoring.drift.accepted_part import accepted_part
from edgeflow.monitoring.line_monitor import LineMonitor
from edgeflow.right_of_way import RightOfWay
from edgeflow.scoring.scorer import Scores
from edgeflow.shadow.runner import FinishedPart
from edgeflow.station.active_bundle import LoadedBundle
from edgeflow.station.products.box_bundles import BoxBundles
from edgeflow.station.products.no_bundle import NoBundle
from edgeflow.station.reporting.line_sinks import (
    DriftSink,
    EvidenceSink,
    Gate,
    HistorySink,
    LiveSink,
    MetricsSink,
    ResultSink,
    ShadowSink,
    ViewSink,
)
from edgeflow.station.scoring_thread import NotScoredInTime, ScoringThread
from edgeflow.station.view_check import ViewCheck

__all__ = [
    "DriftSink",
    "EvidenceSink",
    "Gate",
    "HistorySink",
    "InspectionLine",
    "LiveSink",
    "MetricsSink",
    "ResultSink",
    "RunView",
    "ViewSink",
]

logger = logging.getLogger(__name__)

_HANG_NS = 5_000_000_000


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """Outcome of scoring one part.

    Attributes:
        scores: None where there are none.
        failure: what went wrong with it; empty where nothing did.
        skipped: why there were none in time; empty where there were.
        waited: scoring began, and the line waited for it to the end or to the deadline.
    """

    scores: Scores | None = None
    failure: str = ""
    skipped: str = ""
    waited: bool = False


@dataclass(frozen=True, kw_only=True)
class InspectionLine:
    """The stages of one inspection line.

    Attributes:
        outbox: takes every result.
        show: called with every finished result.
        evidence: takes images of parts; None where the box keeps none.
        history: takes every result after the outbox; None where the box keeps no history.
        drift: takes the scores of accepted parts; None where their drift is not watched.
        views: takes the model images of scored parts; None where the box does not watch its cameras.
        metrics: counts every result, before the outbox has it; None where nobody counts.
        live: takes every finished part, for people who watch; None where nobody can.
        shadow: takes every finished part for a candidate bundle; None where there is none.
        gate_told: returns True or False for a result id whose decision reached the gate or did not; None
            while that is not known.
        view_check: finds frozen and blind views, which never acquit a part.
        scoring: where parts are scored, beside the line: it must decide also where that never returns.
        right_of_way: held from a part's images to its decision.
        hang_ns: for so long a part may be scored, or up to its deadline; then scoring hangs.
        line_monitor: counts every decision; None where no alarms are wanted.
        turn: called every second while a part is scored.
        scoring_times: product → estimate from its latest parts; a part with less time left is not scored.
    """

    bundles: BoxBundles
    gate: Gate
    outbox: ResultSink
    show: Callable[[Result], None]
    clock: Callable[[], int]
    evidence: EvidenceSink | None = None
    history: HistorySink | None = None
    drift: DriftSink | None = None
    views: ViewSink | None = None
    metrics: MetricsSink | None = None
    live: LiveSink | None = None
    shadow: ShadowSink | None = None
    gate_told: Callable[[str], bool | None] = lambda _: None
    view_check: ViewCheck = field(default_factory=ViewCheck)
    scoring: ScoringThread = field(default_factory=ScoringThread)
    right_of_way: RightOfWay = field(default_factory=RightOfWay)
    hang_ns: int = _HANG_NS
    line_monitor: LineMonitor | None = None
    turn: Callable[[], None] = lambda: None
    deadline_monitor: DeadlineMonitor = field(default_factory=DeadlineMonitor)
    scoring_times: defaultdict[str | None, ScoringTime] = field(
        default_factory=lambda: defaultdict(ScoringTime)
    )

    def run(self, view_sets: Iterable[ViewSet]) -> Counter[VerdictName]:
        """Inspect view sets one after the other; returns how many got which verdict."""
        counts: Counter[VerdictName] = Counter()
        for triggered in view_sets:
            with self.right_of_way:
                taken_ns = self.clock()
                loaded, view_set = self.bundles.for_part(triggered)
                attempt = self._score(loaded, view_set, taken_ns)
                part = self._checked(loaded, view_set, attempt)
                scored_ns = self.clock()
                verdict = _decide(loaded.policy, part, attempt, scored_ns)
                decision = loaded.make.decision(part, verdict)
                self.gate.publish_decision(decision)  # the gate comes first, always
            timing = Timing(taken_ns=taken_ns, scored_ns=scored_ns, published_ns=self.clock())
            self._learn(attempt, verdict, timing, (loaded.policy, decision.product))
            self._record(loaded, decision, part, attempt.scores, verdict, timing)
            counts[verdict.verdict] += 1
        return counts

    def _score(self, loaded: LoadedBundle | NoBundle, view_set: ViewSet, taken_ns: int) -> _Attempt:
        """Scores, or why there are none; a part that cannot be scored must not stop the line."""
        policy = loaded.policy
        if isinstance(loaded, NoBundle) or policy.scale(view_set) is None:
            return _Attempt()
        hangs = self.scoring.hangs()
        usual = self.scoring_times[view_set.product.name if view_set.product else None]
        skipped = "" if hangs else no_time_left(view_set, policy, usual.p99_ns(), taken_ns)
        if skipped:
            return _Attempt(skipped=skipped)
        images = {view: frame.image for view, frame in view_set.frames.items()}
        try:
            scores = self.scoring.call(
                lambda: loaded.scorer.score(images),
                until_ns=answer_by_ns(view_set, policy),
                limit_ns=max(self.hang_ns, round(policy.decision.deadline_ms * 1e6)),
                turn=self.turn,
            )
        except NotScoredInTime as late:
            return _Attempt(skipped=f"late: {late}; not scored", waited=not hangs)
        except Exception as error:  # of whatever library: it costs one part
            trace = None if isinstance(error, EdgeflowError) else error
            logger.error(
                "part %s was not scored: %s",
                view_set.part_id,
                error,
                exc_info=trace,
                extra=_fields("not_scored", view_set),
            )
            return _Attempt(failure=f"scoring failed: {failure_text(error)}")
        return _Attempt(scores=scores, waited=True)

    def _checked(self, loaded: LoadedBundle | NoBundle, view_set: ViewSet, attempt: _Attempt) -> ViewSet:
        """The set with what its views do not show; a check that fails acquits no part."""
        if isinstance(loaded, NoBundle):
            return view_set
        try:
            return self.view_check.checked(view_set, attempt.scores, loaded.baseline)
        except Exception as error:
            logger.exception(
                "part %s: its views could not be checked",
                view_set.part_id,
                extra=_fields("not_checked", view_set),
            )
            return replace(view_set, fault=f"views not checked: {failure_text(error)}", fault_code="fault")

    def _learn(
        self, attempt: _Attempt, verdict: Verdict, timing: Timing, part_of: tuple[Policy, str | None]
    ) -> None:
        policy, product = part_of
        late = verdict.late or bool(attempt.skipped)
        if attempt.waited:
            self.scoring_times[product].add(timing.scored_ns - timing.taken_ns)
        elif late:
            self.scoring_times[product].skipped()
        self.deadline_monitor.note(late=late, deadline_ms=policy.decision.deadline_ms)
        if self.line_monitor is not None:
            self.line_monitor.decided(
                verdict.verdict, code=verdict.code, failure=attempt.failure, now_ns=timing.published_ns
            )

    def _record(
        self,
        loaded: LoadedBundle | NoBundle,
        decision: Decision,
        view_set: ViewSet,
        scores: Scores | None,
        verdict: Verdict,
        timing: Timing,
    ) -> None:
        """The part is decided; what goes wrong from here on costs its record at most."""
        try:
            result = loaded.make.result(decision, view_set, scores, verdict, timing)
            result = result.model_copy(update={"gate_told": self.gate_told(result.result_id)})
            result, kept = self._with_evidence(loaded, result, view_set, scores)
            if self.metrics is not None:
                self.metrics.offer(result)
            self.outbox.put(result)
            self._offer_history(loaded, result, kept)
            if isinstance(loaded, LoadedBundle):
                self._offer_drift(loaded, result, scores)
                self._offer_views(loaded, result, scores)
            self.show(result)
            if self.live is not None:
                self.live.offer(_live_part(loaded, result, view_set, scores, self.live.watched))
            if self.shadow is not None and isinstance(loaded, LoadedBundle):
                self.shadow.offer(_finished_part(loaded, result, view_set, scores))
        except Exception as error:
            logger.exception(
                "part %s was decided, but not recorded",
                view_set.part_id,
                extra=_fields("not_recorded", view_set),
            )
            if self.line_monitor is not None:
                self.line_monitor.not_recorded(failure_text(error))

    def _with_evidence(
        self, loaded: LoadedBundle | NoBundle, result: Result, view_set: ViewSet, scores: Scores | None
    ) -> tuple[Result, KeptWhy | None]:
        """The result with the folder of its evidence, and why it is kept; a failure costs no result."""
        if self.evidence is None:
            return result, None
        try:
            reserved = self.evidence.reserve(result.result_id, result.verdict)
            if reserved is None:
                return result, None
            kept = result.model_copy(update={"evidence": reserved.folder})
            job = replace(_evidence_job(loaded, kept, view_set, scores), kept=reserved.why)
            return (kept, reserved.why) if self.evidence.offer(job) else (result, None)
        except Exception as error:
            logger.exception(
                "part %s has no evidence", view_set.part_id, extra=_fields("no_evidence", view_set)
            )
            if self.line_monitor is not None:
                self.line_monitor.not_recorded(failure_text(error), what="evidence")
            return result, None

    def _offer_history(self, loaded: LoadedBundle | NoBundle, result: Result, kept: KeptWhy | None) -> None:
        if self.history is not None:
            manifest = loaded.manifest if isinstance(loaded, LoadedBundle) else None
            self.history.offer(
                HistoryEntry(
                    result=result,
                    bundle_version=0 if manifest is None else manifest.version,
                    has_foreground=manifest is not None and manifest.foreground is not None,
                    kept=kept,
                )
            )

    def _offer_drift(self, loaded: LoadedBundle, result: Result, scores: Scores | None) -> None:
        if self.drift is not None:
            accepted = accepted_part(loaded, loaded.policy.thresholds, result, scores)
            if accepted is not None:
                self.drift.offer(accepted)

    def _offer_views(self, loaded: LoadedBundle, result: Result, scores: Scores | None) -> None:
        if self.views is not None and scores is not None:
            inputs = dict(zip(loaded.manifest.view_ids, scores.inputs, strict=True))
            images = {view: inputs[view] for view in scores.views}
            self.views.offer(images, loaded.baseline, result.product)


def _decide(policy: Policy, view_set: ViewSet, attempt: _Attempt, now_ns: int) -> Verdict:
    """The verdict; scores that cannot be judged are none."""
    try:
        return decide(view_set, attempt.scores, attempt.failure, policy, now_ns, skipped=attempt.skipped)
    except Exception as error:  # as when memory runs out: the part gets its decision nevertheless
        logger.exception(
            "part %s could not be judged", view_set.part_id, extra=_fields("not_judged", view_set)
        )
        return decide(view_set, None, f"scoring failed: {failure_text(error)}", policy, now_ns)


def _fields(event: str, view_set: ViewSet) -> dict[str, str]:
    """Fields of the log."""
    return {"event": event, "part_id": view_set.part_id}


def _evidence_job(
    loaded: LoadedBundle | NoBundle, result: Result, view_set: ViewSet, scores: Scores | None
) -> EvidenceJob:
    originals = {view: frame.image for view, frame in view_set.frames.items()}
    if scores is None or isinstance(loaded, NoBundle):
        return EvidenceJob(result=result, originals=originals, images={}, maps={}, scales={})
    ids, seen = loaded.manifest.view_ids, scores.views
    return EvidenceJob(
        result=result,
        originals=originals,
        images={view: image for view, image in zip(ids, scores.inputs, strict=True) if view in seen},
        maps={view: heat for view, heat in zip(ids, scores.maps, strict=True) if view in seen},
        scales=loaded.policy.thresholds.views,
    )


def _live_part(
    loaded: LoadedBundle | NoBundle,
    result: Result,
    view_set: ViewSet,
    scores: Scores | None,
    watched: bool,
) -> LivePart:
    """The part with the images of the model, or those of its cameras where it was not scored."""
    if not watched:
        return LivePart(result=result, images={}, maps={}, scales={})
    if scores is None or isinstance(loaded, NoBundle):
        cameras = {view: frame.image for view, frame in view_set.frames.items()}
        return LivePart(result=result, images=cameras, maps={}, scales={})
    job = _evidence_job(loaded, result, view_set, scores)
    return LivePart(
        result=result, images=job.images, maps=job.maps, scales=job.scales, baseline=loaded.baseline
    )


def _finished_part(
    loaded: LoadedBundle, result: Result, view_set: ViewSet, scores: Scores | None
) -> FinishedPart:
    return FinishedPart(
        result=result,
        images={view: frame.image for view, frame in view_set.frames.items()},
        complete=scores is not None and not view_set.missing and not view_set.fault,
        bundle_name=loaded.manifest.name,
        bundle_sha256=loaded.bundle.sha256,
        tolerance=loaded.graph.tolerance,
    )


class RunView(Protocol):
    """Display of a running line."""

    def ready(self, text: str) -> None:
        """The line is about to start; ``text`` says with what."""

    def show(self, result: Result) -> None:
        """One part is finished."""

    def finished(self, counts: Counter[VerdictName], waiting: int) -> None:
        """The line has stopped; ``waiting`` results are still in the outbox."""
