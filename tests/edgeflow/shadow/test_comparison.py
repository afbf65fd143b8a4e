"""Verdicts of two bundles on one part: only what lies outside the tolerance turns."""

from __future__ import annotations

import pytest

from edgeflow.contracts.messages import VerdictName
from edgeflow.shadow.comparison import Judged, Outcome, compare


def judged(verdict: VerdictName, score: float | None, tolerance: float = 1e-4) -> Judged:
    return Judged(verdict=verdict, score_raw=score, threshold=10.0, tolerance=tolerance)


@pytest.mark.parametrize(
    ("running", "candidate", "outcome"),
    [
        (judged("OK", 5.0), judged("OK", 9.0), "same"),
        (judged("OK", 5.0), judged("NG", 12.0), "to_ng"),
        (judged("NG", 20.0), judged("OK", 3.0), "to_ok"),
        (judged("UNDECIDED", None), judged("NG", 12.0), "running_undecided"),
        (judged("NG", 20.0), judged("UNDECIDED", None), "candidate_undecided"),
        (judged("OK", 9.9999), judged("NG", 12.0), "near"),
        (judged("OK", 5.0), judged("NG", 10.0001), "near"),
        (judged("OK", 5.0, 0.5), judged("NG", 10.05, 0.5), "near"),
        (judged("OK", 5.0, 0.5), judged("NG", 10.2, 0.5), "to_ng"),  # an INT8 map error excuses no turn
    ],
)
def test_only_what_is_outside_the_tolerance_turns(
    running: Judged, candidate: Judged, outcome: Outcome
) -> None:
    assert compare(running, candidate) == outcome
