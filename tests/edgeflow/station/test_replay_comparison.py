"""Parts decided again: what another processor may change, and what it may not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow.contracts.messages import Result, from_json, to_json
from edgeflow.errors import DataError, ParityError
from edgeflow.station.replay_comparison import Comparison, Difference, read_results

TOLERANCE = 1e-4


def result(
    score: float | None, *, verdict: str = "OK", views: tuple[float, ...] = (2.0,), masked: bool = False
) -> Result:
    document = {
        "schema": "edgeflow/result/1",
        "result_id": "s-1",
        "trigger_id": "t",
        "part_id": "p1",
        "verdict": verdict,
        "reason": "",
        "seq": 1,
        "session": "s",
        "score": score,
        "score_raw": score,
        "threshold": 10.0,
        "views": [
            {"id": f"v{n}", "score": v, "score_raw": v, "frame_id": n, "skew_ms": 0.0, "masked": masked}
            for n, v in enumerate(views)
        ],
        "sync": {"complete": True, "missing": [], "skew_ms": 0.0, "max_skew_ms": 1.0},
        "bundle": {"name": "b", "sha256": "0", "backend": "openvino", "precision": "fp32"},
        "triggered_at": "2026-11-28T10:00:00.000Z",
        "acquired_at": "2026-11-28T10:00:00.000Z",
        "decided_at": "2026-11-28T10:00:00.000Z",
        "durations_ms": {},
        "deadline": {"deadline_ms": 1.0, "decided_after_ms": 0.5, "met": True},
    }
    return from_json(Result, json.dumps(document).encode())


def test_score_that_only_rounds_otherwise_is_the_same() -> None:
    found = Difference(result(9.0), result(9.0005), TOLERANCE)
    assert found.problems == []
    assert not found.identical
    assert 0 < found.largest < TOLERANCE
    assert Difference(result(9.0), result(9.0005), 0.0).problems == ["part p1: score_raw was 9.0, is 9.0005"]


def test_score_outside_the_tolerance_is_named() -> None:
    assert Difference(result(9.0), result(9.0011), TOLERANCE).problems
    views = Difference(result(9.0, views=(2.0, 3.0)), result(9.0, views=(2.0, 3.5)), TOLERANCE)
    assert views.problems == ["part p1: score_raw of view v1 was 3.0, is 3.5"]


def test_verdict_may_turn_only_where_the_score_lies_on_the_threshold() -> None:
    assert Difference(result(9.9999), result(10.0001, verdict="NG"), TOLERANCE).problems == []
    turned = Difference(result(9.9), result(9.9, verdict="NG"), TOLERANCE)
    assert turned.problems == ["part p1: verdict was OK, is NG"]
    undecided = Difference(result(10.0), result(10.0, verdict="UNDECIDED"), TOLERANCE)
    assert undecided.problems == ["part p1: verdict was OK, is UNDECIDED"]


def test_bounds_of_views_whose_masks_were_not_asked_for_are_not_compared() -> None:
    assert (
        Difference(result(9.0, views=(9.0,)), result(4.0, views=(4.0,), masked=True), TOLERANCE).problems
        == []
    )
    lost = Difference(result(9.0), result(None, verdict="UNDECIDED"), TOLERANCE)
    assert any("score_raw was 9.0, is None" in problem for problem in lost.problems)


def test_comparison_counts_and_says_what_it_saw(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(to_json(result(9.0)) + b"\n")
    comparison = Comparison(path)
    comparison.add(result(9.0), TOLERANCE)
    comparison.add(result(9.0).model_copy(update={"part_id": "another"}), TOLERANCE)
    comparison.require_same()
    assert comparison.summary() == f"compared with {path}: 1 parts, 1 the same bit by bit"
    comparison.add(result(9.5), TOLERANCE)
    with pytest.raises(ParityError, match=r"1 difference\(s\)") as caught:
        comparison.require_same()
    assert caught.value.exit_code == 3
    assert Comparison(None).summary() == ""


def test_exact_comparison_has_no_tolerance(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_bytes(to_json(result(9.0)) + b"\n")
    comparison = Comparison(path, exact=True)
    comparison.add(result(9.0000001), TOLERANCE)
    with pytest.raises(ParityError):
        comparison.require_same()


def test_file_without_results_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.jsonl"
    path.write_text('{"schema": "edgeflow/decision/1"}\n')
    with pytest.raises(DataError, match="no result in it"):
        read_results(path)
    path.write_text("not json")
    with pytest.raises(DataError, match="not JSON lines"):
        read_results(path)
    assert from_json(Result, to_json(result(1.0))).part_id == "p1"
