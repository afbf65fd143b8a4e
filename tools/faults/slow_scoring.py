"""Fault 8: scoring that is slower than the parts come; what is scored must still be fresh."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.synchronization import RATE_HZ, sources
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from faults.figures import Figure, percentile

__all__ = ["slow_scoring"]

PERIOD_MS = 1000 / RATE_HZ
_SCORING_S = (0.15, 0.25, 0.33)  # of 0.1 s that there are


def slow_scoring(_folder: Path, *, seconds: float) -> list[Figure]:
    """Five paced sources at 10 Hz, triggered and free-running, and scoring of several lengths."""
    return [figure for triggered in (True, False) for figure in _with(triggered, seconds / len(_SCORING_S))]


def _with(triggered: bool, seconds: float) -> list[Figure]:
    fault = f"8 slow scoring, {'triggered' if triggered else 'free-running'}"
    ages: list[float | None] = []
    for scoring_s in _SCORING_S:
        with sources(triggered=triggered) as capture:
            ages += _ages(capture.view_sets(), scoring_s, seconds)
    scored = [age for age in ages if age is not None]
    p50, most = percentile(scored, 0.5), percentile(scored, 1.0)
    return [
        Figure(fault=fault, what="parts", value=len(ages)),
        Figure(fault=fault, what="of these not scored, and told so", value=len(ages) - len(scored)),
        Figure(fault=fault, what="age of frames when scoring begins, p50, periods", value=round(p50, 2)),
        Figure(fault=fault, what="largest age, periods", value=round(most, 2), limit=2, timed=True),
    ]


def _ages(sets: Iterable[ViewSet], scoring_s: float, seconds: float) -> list[float | None]:
    """Of every set the age of its oldest frame, in periods; None where it is not to be scored."""
    ages: list[float | None] = []
    until_s = time.monotonic() + seconds
    for view_set in sets:
        usable = view_set.frames and not view_set.missing and not view_set.fault
        if usable:
            oldest_ns = min(frame.captured_ns for frame in view_set.frames.values())
            ages.append((monotonic_ns() - oldest_ns) / 1e6 / PERIOD_MS)
            time.sleep(scoring_s)
        else:
            ages.append(None)
        if time.monotonic() > until_s:
            break
    return ages
