"""Decision and result say exactly what the line knows of a part."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import utc_text
from edgeflow.config.capture import SyncConfig
from edgeflow.config.scoring import DecisionConfig
from edgeflow.contracts.messages import to_json
from edgeflow.decision.decision import Policy, Verdict
from edgeflow.decision.result import Origin, ResultMaker, Timing, bundle_info
from edgeflow.decision.session import Session
from edgeflow.scoring.scorer import Scores
from simulators.small_bundle import SIDE, VIEWS, small_bundle

MS_NS = 1_000_000
START_NS = 5_000 * MS_NS
LEFT_SKEW_NS = 1_234_567
TIMING = Timing(
    taken_ns=START_NS + 8 * MS_NS, scored_ns=START_NS + 20 * MS_NS, published_ns=START_NS + 31 * MS_NS
)
VERDICT = Verdict(
    verdict="NG",
    reason="score 1.42 is over the threshold; highest in view 'top'",
    code="defect",
    score=1.42,
    views={"top": 1.5, "left": 0.5},
    decided_ns=START_NS + 30 * MS_NS,
    late=False,
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    with Bundle.open(small_bundle(tmp_path_factory.mktemp("bundle") / "b")) as opened:
        yield opened


@pytest.fixture
def make(bundle: Bundle) -> ResultMaker:
    return result_maker(bundle)


def result_maker(bundle: Bundle) -> ResultMaker:
    policy = Policy(
        thresholds=bundle.manifest.reference_thresholds,
        sync=SyncConfig(max_skew_ms=5.0),
        decision=DecisionConfig(deadline_ms=250.0, valid_ms=700.0),
    )
    return ResultMaker(
        session=Session(id="ses"),
        bundle=bundle,
        graph=bundle.manifest.graphs[0],
        policy=policy,
        origin=Origin(site="plant", line="l1", station="s1", box="box1"),
    )


def part(**changes: Any) -> ViewSet:
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    frames = {
        "top": Frame(view="top", image=image, captured_ns=START_NS + 5 * MS_NS, frame_id=17),
        "left": Frame(view="left", image=image, captured_ns=START_NS + 5 * MS_NS + LEFT_SKEW_NS, frame_id=18),
    }
    known: dict[str, Any] = {
        "trigger_id": "t-1", "part_id": "p-1", "triggered_ns": START_NS, "frames": frames, "missing": (),
        "skew_ms": 1.235, "fault": "", "encoder": 4711, "context": {"order": "A7"},
    }  # fmt: skip
    return ViewSet(**(known | changes))


def scores() -> Scores:
    maps = np.zeros((2, SIDE, SIDE), np.float32)
    maps[0, 2:4, 3:6] = 1500.0
    return Scores(
        inputs=np.zeros((2, SIDE, SIDE, 3), np.uint8),
        maps=maps,
        raw_maps=maps,
        masks=None,
        views={"top": 1500.0, "left": 500.0},
        part=1420.0,
        empty=(),
        highest=1420.0,
    )


def ms_between(late: str | None, early: str) -> float:
    assert late is not None
    parse = datetime.fromisoformat
    return round((parse(late) - parse(early)).total_seconds() * 1000)


def test_a_decision_is_numbered_named_and_valid_for_its_time(make: ResultMaker) -> None:
    first, second = (make.decision(part(), VERDICT) for _ in range(2))
    assert (first.seq, second.seq) == (1, 2)
    assert (first.result_id, second.result_id) == ("ses-000001", "ses-000002")
    assert first.session == "ses"
    assert (first.trigger_id, first.part_id) == ("t-1", "p-1")
    assert (first.verdict, first.reason, first.reason_code) == ("NG", VERDICT.reason, "defect")
    assert first.deadline_ms == 250.0
    assert first.context == {"order": "A7"}
    assert ms_between(first.acquired_at, first.triggered_at) == 6
    assert ms_between(first.valid_until, first.triggered_at) == 730
    assert first.triggered_at == utc_text(START_NS)
    assert make.decision(part(context=None), VERDICT).context is None


def test_a_result_repeats_its_decision_and_says_where_it_was_made(make: ResultMaker, bundle: Bundle) -> None:
    decision = make.decision(part(), VERDICT)
    result = make.result(decision, part(), scores(), VERDICT, TIMING)
    for name in (
        "result_id", "trigger_id", "part_id", "verdict", "reason", "reason_code", "seq", "session",
        "triggered_at", "acquired_at", "context",
    ):  # fmt: skip
        assert getattr(result, name) == getattr(decision, name), name
    assert (result.site, result.line, result.station, result.box) == ("plant", "l1", "s1", "box1")
    assert (result.score, result.score_raw, result.threshold) == (1.42, 1420.0, 1000.0)
    assert result.encoder == 4711
    assert result.bundle == bundle_info(bundle, bundle.manifest.graphs[0])
    assert (result.bundle.name, result.bundle.sha256) == ("bracket", bundle.sha256)
    assert (result.bundle.backend, result.bundle.precision) == ("onnxruntime", "fp32")
    assert ms_between(result.decided_at, result.triggered_at) == 30


def test_each_stage_has_its_time_to_the_microsecond(make: ResultMaker) -> None:
    result = make.result(make.decision(part(), VERDICT), part(), scores(), VERDICT, TIMING)
    assert result.durations_ms == {
        "acquire": 6.235, "wait": 1.765, "score": 12.0, "decide": 10.0, "publish": 1.0, "total": 30.0,
    }  # fmt: skip
    assert result.deadline.deadline_ms == 250.0
    assert result.deadline.decided_after_ms == 30.0
    assert result.deadline.met is True


def test_a_late_decision_did_not_meet_its_deadline(make: ResultMaker) -> None:
    late = Verdict(**(vars(VERDICT) | {"late": True}))
    assert make.result(make.decision(part(), late), part(), scores(), late, TIMING).deadline.met is False


def test_each_view_has_its_score_frame_and_regions(make: ResultMaker) -> None:
    result = make.result(make.decision(part(), VERDICT), part(), scores(), VERDICT, TIMING)
    top, left = result.views
    assert (top.id, top.score, top.score_raw, top.threshold) == ("top", 1.5, 1500.0, 1000.0)
    assert (left.id, left.score, left.score_raw) == ("left", 0.5, 500.0)
    assert (top.frame_id, left.frame_id) == (17, 18)
    assert (top.skew_ms, left.skew_ms) == (0.0, 1.235)
    assert [(each.x, each.y, each.width, each.height) for each in top.regions] == [(3, 2, 3, 2)]
    assert left.regions == ()
    assert (top.masked, left.masked) == (False, False)


def test_regions_are_those_of_an_ng_part_alone(make: ResultMaker) -> None:
    good = Verdict(**(vars(VERDICT) | {"verdict": "UNDECIDED", "code": "late"}))
    result = make.result(make.decision(part(), good), part(), scores(), good, TIMING)
    assert [view.regions for view in result.views] == [(), ()]


def test_a_part_that_was_not_scored_says_what_is_missing(
    make: ResultMaker,
) -> None:
    whole = part()
    some = part(frames={"left": whole.frames["left"]}, missing=("top",))
    verdict = Verdict(
        verdict="UNDECIDED", reason="missing views: top", code="missing_views", score=None, views={},
        decided_ns=START_NS + 30 * MS_NS, late=False,
    )  # fmt: skip
    result = make.result(make.decision(some, verdict), some, None, verdict, TIMING)
    assert (result.score, result.score_raw, result.threshold) == (None, None, 1000.0)
    top, left = result.views
    assert (top.score, top.score_raw, top.frame_id, top.skew_ms) == (None, None, None, None)
    assert (left.score, left.frame_id, left.skew_ms) == (None, 18, 0.0)
    assert (result.sync.complete, result.sync.missing) == (False, ("top",))
    assert (result.sync.skew_ms, result.sync.max_skew_ms) == (1.235, 5.0)
    assert make.result(make.decision(whole, VERDICT), whole, scores(), VERDICT, TIMING).sync.complete


def test_scores_that_decided_nothing_are_not_told_as_scores(make: ResultMaker) -> None:
    unscored = Verdict(**(vars(VERDICT) | {"verdict": "UNDECIDED", "score": None, "views": {}}))
    result = make.result(make.decision(part(), unscored), part(), scores(), unscored, TIMING)
    assert (result.score, result.score_raw) == (None, None)
    assert [(view.score, view.score_raw) for view in result.views] == [(None, None)] * 2


def test_a_part_without_frames_was_acquired_when_it_was_triggered(make: ResultMaker) -> None:
    nothing = part(frames={}, missing=VIEWS)
    decision = make.decision(nothing, VERDICT)
    assert decision.acquired_at == decision.triggered_at
    result = make.result(decision, nothing, None, VERDICT, TIMING)
    assert result.durations_ms["acquire"] == 0.0


def test_regions_of_a_view_with_a_geometry_lie_on_the_camera_image_too(tmp_path: Path) -> None:
    views = [{"id": "top", "crop": [10, 20, 16, 16], "turns": 1}, {"id": "left"}]
    with Bundle.open(small_bundle(tmp_path / "b", views=views)) as bundle:
        image = np.zeros((64, 64, 3), np.uint8)
        frames = {view: replace(frame, image=image) for view, frame in part().frames.items()}
        view_set = part(frames=frames)
        make = result_maker(bundle)
        result = make.result(make.decision(view_set, VERDICT), view_set, scores(), VERDICT, TIMING)
    (region,) = result.views[0].regions
    assert (region.x, region.y, region.width, region.height) == (3, 2, 3, 2)
    # A map pixel is two of the camera's; turned back by a quarter, the columns are rows from below.
    assert region.camera == (10 + 2 * 2, 20 + 16 - 2 * 6, 4, 6)
    assert b'"camera":[14,24,4,6]' in to_json(result)
