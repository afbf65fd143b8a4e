"""The line: view sets to verdicts, decisions, evidence and results, and nothing else."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from edgeflow.contracts.messages import Decision, Result, VerdictName
from edgeflow.decision import Policy, decide, no_time_left
from edgeflow.errors import EdgeflowError
from edgeflow.lateness import LateWatch
from edgeflow.loaded_bundle import BundleSlot, LoadedBundle
from edgeflow.result import Timing
from edgeflow.scorer import Scores
from edgeflow.scoring_time import ScoringTime
from edgeflow.synchronizer import ViewSet
from edgeflow.view_check import ViewCheck

__all__ = ["Gate", "Line", "ResultSink"]

logger = logging.getLogger(__name__)


class Gate(Protocol):
    """Where decisions go; never blocks."""

    def publish_decision(self, decision: Decision) -> bool:
        """False where nobody could be told."""


class ResultSink(Protocol):
    """Where a result goes, with what was seen; returns the result as it is to be delivered."""

    def __call__(self, result: Result, view_set: ViewSet, scores: Scores | None) -> Result: ...


@dataclass(frozen=True, kw_only=True)
class Line:
    """The stages of one inspection line.

    Attributes:
        keep: evidence and outbox, in this order.
        show: called with every finished result.
        views: whether the part's views show anything, and this part.
        pace: how long scoring takes, for parts that have no time left.
    """

    bundles: BundleSlot
    gate: Gate
    keep: ResultSink
    show: Callable[[Result], None]
    clock: Callable[[], int]
    views: ViewCheck = field(default_factory=ViewCheck)
    lateness: LateWatch = field(default_factory=LateWatch)
    pace: ScoringTime = field(default_factory=ScoringTime)

    def run(self, view_sets: Iterable[ViewSet]) -> Counter[VerdictName]:
        """Inspect view sets one after the other; returns how many got which verdict."""
        counts: Counter[VerdictName] = Counter()
        for view_set in view_sets:
            taken_ns = self.clock()
            loaded = self.bundles.take()
            given_up = no_time_left(view_set, loaded.policy, self.pace.p99_ns(), taken_ns)
            scores, failure = (None, "") if given_up else _score(loaded, view_set)
            part = self.views.checked(view_set, scores, loaded.baseline)
            scored_ns = self.clock()
            verdict = decide(part, scores, failure, loaded.policy, scored_ns, given_up=given_up)
            decision = loaded.make.decision(part, verdict)
            self.gate.publish_decision(decision)  # the gate comes first, always
            timing = Timing(taken_ns=taken_ns, scored_ns=scored_ns, published_ns=self.clock())
            self._learn(timing, loaded.policy, scored=scores is not None, late=verdict.late or bool(given_up))
            result = loaded.make.result(decision, part, scores, verdict, timing)
            self.show(self.keep(result, part, scores))
            counts[verdict.verdict] += 1
        return counts

    def _learn(self, timing: Timing, policy: Policy, *, scored: bool, late: bool) -> None:
        if scored:
            self.pace.add(timing.scored_ns - timing.taken_ns)
        elif late:
            self.pace.given_up()
        self.lateness.note(late=late, deadline_ms=policy.decision.deadline_ms)


def _score(loaded: LoadedBundle, view_set: ViewSet) -> tuple[Scores | None, str]:
    """Scores, or why there are none; a part that cannot be scored must not stop the line."""
    if loaded.policy.scale(view_set) is None:
        return None, ""
    try:
        return loaded.scorer.score({view: frame.image for view, frame in view_set.frames.items()}), ""
    except EdgeflowError as error:
        logger.error("part %s was not scored: %s", view_set.part_id, error)
        return None, f"scoring failed: {error.message}"
