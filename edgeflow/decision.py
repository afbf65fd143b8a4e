"""Scores and synchronisation to a verdict: pure, clock as an argument, never a silent OK."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeflow.contracts.manifest import Thresholds
from edgeflow.contracts.messages import VerdictName
from edgeflow.contracts.scoring import scaled
from edgeflow.scorer import Scores
from edgeflow.settings.capture import SyncConfig
from edgeflow.settings.scoring import DecisionConfig
from edgeflow.synchronizer import ViewSet

__all__ = ["Policy", "Verdict", "decide", "judge_scores", "no_time_left"]


@dataclass(frozen=True, kw_only=True)
class Policy:
    """All that a verdict depends on besides the part itself."""

    thresholds: Thresholds
    sync: SyncConfig
    decision: DecisionConfig


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the line is told of one part, and how it came about.

    ``score`` and ``views`` are scaled (1.0 is the threshold); None and empty where not scored.
    """

    verdict: VerdictName
    reason: str
    score: float | None
    views: Mapping[str, float]
    decided_ns: int
    late: bool


def no_time_left(view_set: ViewSet, policy: Policy, scoring_ns: int | None, now_ns: int) -> str:
    """Why a part is not worth scoring: its deadline comes first; empty where there is time enough.

    Args:
        scoring_ns: how long scoring may take; None where that is not known yet.
    """
    left_ms = policy.decision.deadline_ms - (now_ns - view_set.triggered_ns) / 1e6
    if scoring_ns is None or left_ms >= scoring_ns / 1e6:
        return ""
    return (
        f"late: {max(0.0, left_ms):.1f} of {policy.decision.deadline_ms:g} ms were left, "
        f"scoring may take {scoring_ns / 1e6:.1f} ms; not scored"
    )


def decide(
    view_set: ViewSet,
    scores: Scores | None,
    failure: str,
    policy: Policy,
    now_ns: int,
    *,
    given_up: str = "",
) -> Verdict:
    """The verdict on one part.

    Args:
        scores: None where the set was not scored.
        failure: why scoring failed; empty otherwise.
        now_ns: monotonic.
        given_up: why there was no time to score it, see :func:`no_time_left`.
    """
    late_ms = (now_ns - view_set.triggered_ns) / 1e6 - policy.decision.deadline_ms
    verdict, reason = _judge(view_set, scores, failure or given_up, policy)
    if given_up:
        verdict = _mapped(policy.decision.on_late)
    elif late_ms > 0 and verdict != "NG":
        verdict = _mapped(policy.decision.on_late)
        late = f"late: decided {late_ms:.1f} ms after the deadline of {policy.decision.deadline_ms:g} ms"
        reason = f"{reason}; {late}" if reason else late
    thresholds = policy.thresholds
    finite = scores if scores is not None and _all_finite(scores) else None
    return Verdict(
        verdict=verdict,
        reason=reason,
        score=scaled(finite.part, thresholds.part) if finite else None,
        views={v: scaled(s, thresholds.views[v]) for v, s in finite.views.items()} if finite else {},
        decided_ns=now_ns,
        late=late_ms > 0,
    )


def _judge(view_set: ViewSet, scores: Scores | None, failure: str, policy: Policy) -> tuple[VerdictName, str]:
    if view_set.missing:
        return _mapped(policy.sync.on_missing), f"missing views: {', '.join(view_set.missing)}"
    if view_set.fault:
        return "UNDECIDED", view_set.fault
    if failure or scores is None:
        return "UNDECIDED", failure or "not scored"
    return judge_scores(scores, policy.thresholds)


def judge_scores(scores: Scores, thresholds: Thresholds) -> tuple[VerdictName, str]:
    """Verdict and reason from scores alone; a score that is not finite is never OK."""
    if not _all_finite(scores):
        finite = [bool(np.isfinite(heat).all()) for heat in scores.raw_maps]
        bad = [
            view
            for (view, score), good in zip(scores.views.items(), finite, strict=True)
            if not (good and math.isfinite(score))
        ]
        return "UNDECIDED", f"score is not finite in: {', '.join(bad) or 'the part score'}"
    score = scaled(scores.part, thresholds.part)
    if score <= 1.0 and scaled(scores.highest, thresholds.part) <= 1.0:
        return "OK", ""
    if score <= 1.0:
        # Masking all of a view away would let any defect in it pass.
        return "UNDECIDED", f"no foreground found in: {', '.join(scores.empty)}"
    worst = max(scores.views, key=lambda view: scaled(scores.views[view], thresholds.views[view]))
    return "NG", f"score {score:.2f} is over the threshold; highest in view '{worst}'"


def _all_finite(scores: Scores) -> bool:
    # Looked for in the maps too: a maximum passes over a pixel of minus infinity.
    if not np.isfinite(scores.raw_maps).all():
        return False
    return math.isfinite(scores.part) and all(math.isfinite(score) for score in scores.views.values())


def _mapped(policy: str) -> VerdictName:
    return "NG" if policy == "ng" else "UNDECIDED"
