"""The line: view sets to verdicts, decisions, evidence and results, and nothing else."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from edgeflow.capture.synchronizer import ViewSet
from edgeflow.contracts.messages import Decision, Result, VerdictName
from edgeflow.decision.deadline import ScoringTime
from edgeflow.decision.decision import Policy, Verdict, answer_by_ns, decide, no_time_left
from edgeflow.decision.lateness import DeadlineMonitor
from edgeflow.decision.result import Timing
from edgeflow.errors import EdgeflowError, failure_text
from edgeflow.monitoring.line_monitor import LineMonitor
from edgeflow.scoring.scorer import Scores
from edgeflow.station.active_bundle import ActiveBundle, LoadedBundle
from edgeflow.station.scoring_thread import NotScoredInTime, ScoringThread
from edgeflow.station.view_check import ViewCheck

__all__ = ["Gate", "InspectionLine", "ResultSink", "RunView"]

logger = logging.getLogger(__name__)

_HANG_NS = 5_000_000_000


class Gate(Protocol):
    """Where decisions go; never blocks."""

    def publish_decision(self, decision: Decision) -> bool:
        """False where nobody could be told."""


class ResultSink(Protocol):
    """Where a result goes, with what was seen; returns the result as it is to be delivered."""

    def __call__(self, result: Result, view_set: ViewSet, scores: Scores | None) -> Result: ...


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """What came of scoring a part.

    Attributes:
        scores: None where there are none.
        failure: what went wrong with it; empty where nothing did.
        given_up: why there were none in time; empty where there were.
        waited: scoring began, and the line waited for it to the end or to the deadline.
    """

    scores: Scores | None = None
    failure: str = ""
    given_up: str = ""
    waited: bool = False


@dataclass(frozen=True, kw_only=True)
class InspectionLine:
    """The stages of one inspection line.

    Attributes:
        keep: evidence and outbox, in this order.
        show: called with every finished result.
        views: whether the part's views show anything, and this part.
        scoring: where parts are scored, beside the line: it must decide also where that never returns.
        hang_ns: for so long a part may be scored, or up to its deadline; then scoring hangs.
        watch: told of every decision; None where nobody asks.
        turn: called every second while a part is scored.
        pace: how long scoring takes, for parts that have no time left.
    """

    bundles: ActiveBundle
    gate: Gate
    keep: ResultSink
    show: Callable[[Result], None]
    clock: Callable[[], int]
    views: ViewCheck = field(default_factory=ViewCheck)
    scoring: ScoringThread = field(default_factory=ScoringThread)
    hang_ns: int = _HANG_NS
    watch: LineMonitor | None = None
    turn: Callable[[], None] = lambda: None
    lateness: DeadlineMonitor = field(default_factory=DeadlineMonitor)
    pace: ScoringTime = field(default_factory=ScoringTime)

    def run(self, view_sets: Iterable[ViewSet]) -> Counter[VerdictName]:
        """Inspect view sets one after the other; returns how many got which verdict."""
        counts: Counter[VerdictName] = Counter()
        for view_set in view_sets:
            taken_ns = self.clock()
            loaded = self.bundles.take()
            attempt = self._score(loaded, view_set, taken_ns)
            part = self._checked(loaded, view_set, attempt)
            scored_ns = self.clock()
            verdict = _decide(loaded.policy, part, attempt, scored_ns)
            decision = loaded.make.decision(part, verdict)
            self.gate.publish_decision(decision)  # the gate comes first, always
            timing = Timing(taken_ns=taken_ns, scored_ns=scored_ns, published_ns=self.clock())
            self._learn(attempt, verdict, timing, loaded.policy)
            self._record(loaded, decision, part, attempt.scores, verdict, timing)
            counts[verdict.verdict] += 1
        return counts

    def _score(self, loaded: LoadedBundle, view_set: ViewSet, taken_ns: int) -> _Attempt:
        """Scores, or why there are none; a part that cannot be scored must not stop the line."""
        policy = loaded.policy
        if policy.scale(view_set) is None:
            return _Attempt()
        hangs = self.scoring.hangs()
        given_up = "" if hangs else no_time_left(view_set, policy, self.pace.p99_ns(), taken_ns)
        if given_up:
            return _Attempt(given_up=given_up)
        images = {view: frame.image for view, frame in view_set.frames.items()}
        try:
            scores = self.scoring.call(
                lambda: loaded.scorer.score(images),
                until_ns=answer_by_ns(view_set, policy),
                limit_ns=max(self.hang_ns, round(policy.decision.deadline_ms * 1e6)),
                turn=self.turn,
            )
        except NotScoredInTime as late:
            return _Attempt(given_up=f"late: {late}; not scored", waited=not hangs)
        except Exception as error:  # of whatever library: it costs one part
            trace = None if isinstance(error, EdgeflowError) else error
            logger.error("part %s was not scored: %s", view_set.part_id, error, exc_info=trace)
            return _Attempt(failure=f"scoring failed: {failure_text(error)}")
        return _Attempt(scores=scores, waited=True)

    def _checked(self, loaded: LoadedBundle, view_set: ViewSet, attempt: _Attempt) -> ViewSet:
        """The set with what its views do not show; a check that fails acquits no part."""
        try:
            return self.views.checked(view_set, attempt.scores, loaded.baseline)
        except Exception as error:
            logger.exception("part %s: its views could not be checked", view_set.part_id)
            return replace(view_set, fault=f"views not checked: {failure_text(error)}", fault_code="fault")

    def _learn(self, attempt: _Attempt, verdict: Verdict, timing: Timing, policy: Policy) -> None:
        late = verdict.late or bool(attempt.given_up)
        if attempt.waited:
            self.pace.add(timing.scored_ns - timing.taken_ns)
        elif late:
            self.pace.given_up()
        self.lateness.note(late=late, deadline_ms=policy.decision.deadline_ms)
        if self.watch is not None:
            self.watch.decided(
                verdict.verdict, code=verdict.code, failure=attempt.failure, now_ns=timing.published_ns
            )

    def _record(
        self,
        loaded: LoadedBundle,
        decision: Decision,
        view_set: ViewSet,
        scores: Scores | None,
        verdict: Verdict,
        timing: Timing,
    ) -> None:
        """The part is decided; what goes wrong from here on costs its record at most."""
        try:
            result = loaded.make.result(decision, view_set, scores, verdict, timing)
            self.show(self.keep(result, view_set, scores))
        except Exception as error:
            logger.exception("part %s was decided, but not recorded", view_set.part_id)
            if self.watch is not None:
                self.watch.not_recorded(failure_text(error))


def _decide(policy: Policy, view_set: ViewSet, attempt: _Attempt, now_ns: int) -> Verdict:
    """The verdict; scores that cannot be judged are none."""
    try:
        return decide(view_set, attempt.scores, attempt.failure, policy, now_ns, given_up=attempt.given_up)
    except Exception as error:  # as when memory runs out: the part gets its decision nevertheless
        logger.exception("part %s could not be judged", view_set.part_id)
        return decide(view_set, None, f"scoring failed: {failure_text(error)}", policy, now_ns)


class RunView(Protocol):
    """Told what happens on the line."""

    def ready(self, text: str) -> None:
        """The line is about to start; ``text`` says with what."""

    def show(self, result: Result) -> None:
        """One part is finished."""

    def finished(self, counts: Counter[VerdictName], waiting: int) -> None:
        """The line has stopped; ``waiting`` results are still in the outbox."""
