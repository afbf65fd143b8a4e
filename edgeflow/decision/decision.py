"""Scores and synchronisation to a verdict: pure, clock as an argument, never a silent OK."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from edgeflow.capture.view_set import ViewSet
from edgeflow.config.capture import SyncConfig
from edgeflow.config.scoring import DecisionConfig
from edgeflow.contracts.manifest import Scale, Thresholds
from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import VerdictName
from edgeflow.contracts.scoring import scaled, subset_scale
from edgeflow.errors import ConfigError
from edgeflow.scoring.scorer import Scores

__all__ = ["Policy", "Verdict", "answer_by_ns", "check_degraded", "decide", "judge_scores", "no_time_left"]

_TO_DECIDE_NS = 5e6  # from the scores, or the want of them, to the gate
_SHARE_TO_DECIDE = 0.02  # of a short deadline


@dataclass(frozen=True, kw_only=True)
class Policy:
    """Thresholds and settings that a verdict depends on."""

    thresholds: Thresholds
    sync: SyncConfig
    decision: DecisionConfig

    def scale(self, view_set: ViewSet) -> Scale | None:
        """The scale by which a set is judged; None where it must not be scored.

        A set with missing views has one where the box allows ``degraded`` with as many views as are left,
        and the bundle was calibrated for just these.
        """
        if view_set.fault:
            return None
        least = self.sync.min_views if self.sync.on_missing == "degraded" else None
        if view_set.missing and (least is None or len(view_set.frames) < least):
            return None
        return subset_scale(self.thresholds, view_set.frames)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Verdict on one part, with its causes.

    ``code`` is the first cause of the verdict; ``reason`` names all. ``score`` and ``views`` are scaled (1.0
    is the threshold); None and empty where not scored.
    """

    verdict: VerdictName
    reason: str
    code: ReasonCode
    score: float | None
    views: Mapping[str, float]
    decided_ns: int
    late: bool


def check_degraded(sync: SyncConfig, thresholds: Thresholds) -> None:
    """A box that is to decide with missing views needs a bundle that was calibrated for some.

    Raises:
        ConfigError: says how to get one.
    """
    if sync.min_views is None:
        return
    fewest = min((len(key.split(",")) for key in thresholds.subsets), default=len(thresholds.views))
    if sync.min_views < fewest:
        raise ConfigError(
            f"sync.min_views {sync.min_views}: the bundle has thresholds for at least {fewest} of its "
            f"{len(thresholds.views)} views; raise it, set on_missing: undecided, or export with "
            f"thresholds.missing_views: {len(thresholds.views) - sync.min_views}"
        )


def no_time_left(view_set: ViewSet, policy: Policy, scoring_ns: int | None, now_ns: int) -> str:
    """Return the reason why a part is not scored, its deadline; empty where there is time enough.

    Args:
        scoring_ns: how long scoring may take; None where that is not known yet.
    """
    left_ms = policy.decision.deadline_ms - (now_ns - view_set.triggered_ns) / 1e6
    if scoring_ns is None or left_ms >= scoring_ns / 1e6 or policy.scale(view_set) is None:
        return ""  # what is not to be scored needs no time for it
    return (
        f"late: {max(0.0, left_ms):.1f} of {policy.decision.deadline_ms:g} ms were left, "
        f"scoring may take {scoring_ns / 1e6:.1f} ms; not scored"
    )


def answer_by_ns(view_set: ViewSet, policy: Policy) -> int:
    """Return the time up to which scores are of use, a little before the deadline."""
    deadline_ns = policy.decision.deadline_ms * 1e6
    return view_set.triggered_ns + round(deadline_ns - min(_TO_DECIDE_NS, _SHARE_TO_DECIDE * deadline_ns))


def decide(
    view_set: ViewSet,
    scores: Scores | None,
    failure: str,
    policy: Policy,
    now_ns: int,
    *,
    skipped: str = "",
) -> Verdict:
    """The verdict on one part: NG where its scores say so, or the policy for anything that went wrong.

    Where several things went wrong, one that the policy maps to NG is enough.

    Args:
        scores: None where the set was not scored.
        failure: why scoring failed; empty otherwise.
        now_ns: monotonic.
        skipped: why it was not scored in time, see :func:`no_time_left`.
    """
    late_ms = (now_ns - view_set.triggered_ns) / 1e6 - policy.decision.deadline_ms
    verdict, reason, code = _judge(view_set, scores, failure, skipped, policy)
    if (skipped or late_ms > 0) and verdict != "NG":
        verdict = _mapped(policy.decision.on_late)
        late = f"late: decided {late_ms:.1f} ms after the deadline of {policy.decision.deadline_ms:g} ms"
        reason = "; ".join(dict.fromkeys(filter(None, [reason, skipped or late])))
        code = "late" if code in ("ok", "degraded") else code
    thresholds, scale = policy.thresholds, policy.scale(view_set)
    finite = scores if scores is not None and _all_finite(scores) else None
    return Verdict(
        verdict=verdict,
        reason=reason,
        code=code,
        score=scaled(finite.part, scale) if finite and scale else None,
        views={v: scaled(s, thresholds.views[v]) for v, s in finite.views.items()} if finite else {},
        decided_ns=now_ns,
        late=late_ms > 0,
    )


_Judgement = tuple[VerdictName, str, ReasonCode]


def _judge(
    view_set: ViewSet, scores: Scores | None, failure: str, skipped: str, policy: Policy
) -> _Judgement:
    missing = f"missing views: {', '.join(view_set.missing)}" if view_set.missing else ""
    scale = policy.scale(view_set)
    if missing and scale is None:
        reason = "; ".join(filter(None, [missing, view_set.fault]))
        return _mapped(policy.sync.on_missing), reason, "missing_views"
    if view_set.fault:
        return "UNDECIDED", view_set.fault, view_set.fault_code or "fault"
    if failure:
        return "UNDECIDED", failure, "scoring_failed"
    if scores is None:
        return "UNDECIDED", skipped or "not scored", "late" if skipped else "not_scored"
    verdict, reason, code = _judge_scores(scores, policy.thresholds)
    if missing:
        reason = "; ".join(filter(None, [reason, f"degraded, {missing}"]))
        code = "degraded" if code == "ok" else code
    return verdict, reason, code


def judge_scores(scores: Scores, thresholds: Thresholds) -> tuple[VerdictName, str]:
    """Verdict and reason from scores alone; a score that is not finite is never OK.

    Scores of some views alone are judged by the threshold that was calibrated for these.
    """
    verdict, reason, _ = _judge_scores(scores, thresholds)
    return verdict, reason


def _judge_scores(scores: Scores, thresholds: Thresholds) -> _Judgement:
    if not _all_finite(scores):
        finite = [bool(np.isfinite(heat).all()) for heat in scores.raw_maps]
        if len(finite) != len(scores.views):  # of some views alone: which map is whose is not known here
            finite = [True] * len(scores.views)
        bad = [
            view
            for (view, score), good in zip(scores.views.items(), finite, strict=True)
            if not (good and math.isfinite(score))
        ]
        reason = f"score is not finite in: {', '.join(bad) or 'the part score'}"
        return "UNDECIDED", reason, "score_not_finite"
    scale = subset_scale(thresholds, scores.views)
    if scale is None:
        reason = f"no threshold was calibrated for {', '.join(scores.views)} alone"
        return "UNDECIDED", reason, "no_threshold"
    score = scaled(scores.part, scale)
    if score <= 1.0 and scaled(scores.highest, scale) <= 1.0:
        return "OK", "", "ok"
    if score <= 1.0:
        # Masking all of a view away would let any defect in it pass.
        return "UNDECIDED", f"no foreground found in: {', '.join(scores.empty)}", "no_foreground"
    worst = max(scores.views, key=lambda view: scaled(scores.views[view], thresholds.views[view]))
    return "NG", f"score {score:.2f} is over the threshold; highest in view '{worst}'", "defect"


def _all_finite(scores: Scores) -> bool:
    # Looked for in the maps too: a maximum passes over a pixel of minus infinity.
    if not np.isfinite(scores.raw_maps).all():
        return False
    return math.isfinite(scores.part) and all(math.isfinite(score) for score in scores.views.values())


def _mapped(policy: str) -> VerdictName:
    return "NG" if policy == "ng" else "UNDECIDED"
