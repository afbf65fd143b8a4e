"""Results as a line would record them, without a line: for the history's tests and benchmark."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import numpy as np

from edgeflow.contracts.message_parts.reason_codes import ReasonCode
from edgeflow.contracts.messages import BundleInfo, Deadline, Result, SyncInfo, VerdictName, ViewResult
from edgeflow.history.records import HistoryEntry

__all__ = ["simulated_entries", "simulated_result"]

SHA256 = "ab" * 32


def simulated_result(number: int, at: datetime, raw: dict[str, float], *, masked: bool = True) -> Result:
    """The result of one part by raw scores: the threshold is 1.0 everywhere, the part score their mean.

    Args:
        raw: view → raw score; empty: not scored.
    """
    part = sum(raw.values()) / len(raw) if raw else None
    verdict: VerdictName = "UNDECIDED" if part is None else "NG" if part > 1.0 else "OK"
    codes: dict[VerdictName, ReasonCode] = {"OK": "ok", "NG": "defect", "UNDECIDED": "missing_views"}
    text = at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
    return Result(
        result_id=f"session-{number:06d}",
        trigger_id=f"t-{number}",
        part_id=f"P-{number}",
        verdict=verdict,
        reason="" if verdict == "OK" else "score over the threshold",
        reason_code=codes[verdict],
        seq=number,
        session="session",
        score=part,
        score_raw=part,
        threshold=1.0,
        views=tuple(
            ViewResult(
                id=view,
                score=score,
                score_raw=score,
                threshold=1.0,
                frame_id=number,
                skew_ms=0.5,
                masked=masked,
            )
            for view, score in raw.items()
        ),
        sync=SyncInfo(complete=bool(raw), missing=() if raw else ("C1",), skew_ms=0.5, max_skew_ms=20),
        bundle=BundleInfo(name="bracket", sha256=SHA256, backend="openvino", precision="fp32"),
        triggered_at=text,
        acquired_at=text,
        decided_at=text,
        durations_ms={"acquire": 3.0, "score": 25.0, "total": 30.0 + number % 17},
        deadline=Deadline(deadline_ms=100, decided_after_ms=30.0, met=True),
    )


def simulated_entries(
    count: int, *, views: int, begin: datetime, period: timedelta, seed: int = 5
) -> Iterator[HistoryEntry]:
    """Results at a fixed period: about 2 % NG, 0.5 % UNDECIDED."""
    rng = np.random.default_rng(seed)
    names = [f"C{view + 1}" for view in range(views)]
    for number in range(count):
        high = 1.4 if rng.random() < 0.02 else 0.3
        scores = rng.normal(high, 0.05, views)
        raw = {} if rng.random() < 0.005 else dict(zip(names, map(float, scores), strict=True))
        result = simulated_result(number, begin + number * period, raw)
        yield HistoryEntry(result=result, bundle_version=1, has_foreground=False)
