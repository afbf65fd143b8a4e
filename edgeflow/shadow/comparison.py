"""Verdicts of two bundles on one part, compared; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeflow.contracts.messages import VerdictName
from edgeflow.contracts.scoring import CLEAR

__all__ = ["OUTCOMES", "Judged", "Outcome", "compare"]

Outcome = Literal["same", "near", "to_ng", "to_ok", "running_undecided", "candidate_undecided"]

OUTCOMES: dict[Outcome, str] = {
    "same": "the same verdict",
    "near": "another verdict, but a score lies on its threshold within the tolerance",
    "to_ng": "OK would turn to NG",
    "to_ok": "NG would turn to OK",
    "running_undecided": "UNDECIDED by the running bundle",
    "candidate_undecided": "UNDECIDED by the candidate alone",
}


_MOST = 0.01
"""Both run on this box: what a reduced graph may differ by from the trained model does not count here."""


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One bundle's judgement of a part.

    Attributes:
        score_raw: None where it has none.
        threshold: of ``score_raw``, its own.
        tolerance: relative error that its graph may have.
    """

    verdict: VerdictName
    score_raw: float | None
    threshold: float | None
    tolerance: float

    @property
    def on_threshold(self) -> bool:
        """True if rounding may decide the verdict."""
        if self.score_raw is None or self.threshold is None:
            return False
        size = max(abs(self.score_raw), abs(self.threshold))
        return abs(self.score_raw - self.threshold) <= min(max(self.tolerance, CLEAR), _MOST) * size


def compare(running: Judged, candidate: Judged) -> Outcome:
    """Return what the candidate would change about a part; only what is outside the tolerance turns."""
    if running.verdict == "UNDECIDED":
        return "running_undecided"
    if candidate.verdict == "UNDECIDED":
        return "candidate_undecided"
    if running.verdict == candidate.verdict:
        return "same"
    if running.on_threshold or candidate.on_threshold:
        return "near"
    return "to_ng" if candidate.verdict == "NG" else "to_ok"
