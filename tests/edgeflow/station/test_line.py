"""The line itself, built as a box builds it: one decision a part, whatever scoring and keeping do."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.alarms import Alarms
from edgeflow.backends.runner import ActualPlacement
from edgeflow.bundles.bundle import Bundle
from edgeflow.cameras.camera import Frame
from edgeflow.capture.view_set import ViewSet
from edgeflow.clock import monotonic_ns
from edgeflow.config.alarms import AlarmsConfig
from edgeflow.config.capture import SyncConfig
from edgeflow.config.scoring import DecisionConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.messages import Alarm, Decision, Result, VerdictName
from edgeflow.contracts.scoring import FloatArray
from edgeflow.decision.deadline import DeadlineMonitor
from edgeflow.decision.decision import Policy
from edgeflow.decision.result import Origin, ResultMaker
from edgeflow.decision.session import Session
from edgeflow.errors import DeviceError
from edgeflow.evidence.writer import EvidenceJob, Reserved
from edgeflow.monitoring.drift.accepted_part import AcceptedPart
from edgeflow.monitoring.line_monitor import LineMonitor
from edgeflow.monitoring.view_appearance import Baseline
from edgeflow.monitoring.view_monitor import bundle_baseline
from edgeflow.right_of_way import RightOfWay
from edgeflow.scoring.scorer import Scorer, Scores
from edgeflow.shadow.runner import FinishedPart
from edgeflow.station.active_bundle import ActiveBundle, LoadedBundle
from edgeflow.station.line import InspectionLine
from edgeflow.station.scoring_thread import ScoringThread
from simulators.small_bundle import SIDE, VIEWS, small_bundle
from tests.support.waiting import PATIENCE_S

NEVER_LATE_MS = 600_000.0
SOON_MS = 150.0
ORIGIN = Origin(site="plant", line="l1", station="s1", box="box1")


class Runner:
    """A graph whose maps are all ``value``; before part n, counted from 0, it does ``before[n]``."""

    def __init__(self, value: float = 1.0, before: dict[int, Callable[[], None]] | None = None) -> None:
        self._value = value
        self._before = before or {}
        self.count = 0
        self.closed = threading.Event()

    placement = ActualPlacement(device="CPU", precision="f32", threads=1, streams=1)

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        number, self.count = self.count, self.count + 1
        self._before.get(number, lambda: None)()
        return (np.full(images.shape[:3], self._value, np.float32),)

    def close(self) -> None:
        self.closed.set()


class Told:
    """Everything that a line tells, in order: decisions, what is kept, what is shown."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.decisions: list[Decision] = []
        self.results: list[Result] = []
        self.scored: list[bool] = []
        self.alarms: dict[str, Alarm | None] = {}
        self.failing: set[str] = set()  # parts whose record cannot be kept
        self.without_evidence: set[str] = set()  # parts that come while evidence is written too slowly

    def publish_decision(self, decision: Decision) -> bool:
        self.events.append(("decision", decision.part_id))
        self.decisions.append(decision)
        return True

    def reserve(self, result_id: str, verdict: VerdictName) -> Reserved:
        return Reserved(folder=f"/evidence/{result_id}-{verdict}", why="verdict")

    def offer(self, job: EvidenceJob) -> bool:
        if job.result.part_id in self.failing:
            raise KeyError(job.result.part_id)
        self.scored.append(bool(job.maps))
        return job.result.part_id not in self.without_evidence

    def put(self, result: Result) -> None:
        self.events.append(("kept", result.part_id))

    def show(self, result: Result) -> None:
        self.events.append(("shown", result.part_id))
        self.results.append(result)

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.alarms[name] = alarm


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def loaded(tmp_path: Path) -> Iterator[Callable[..., LoadedBundle]]:
    """A bundle with a runner of the test's own."""
    opened: list[Bundle] = []
    session = Session(id="s")

    def load(runner: Runner, *, deadline_ms: float = NEVER_LATE_MS, name: str = "bracket") -> LoadedBundle:
        bundle = Bundle.open(small_bundle(tmp_path / f"{len(opened)}.bundle", name=name))
        opened.append(bundle)
        manifest = bundle.manifest
        policy = Policy(
            thresholds=manifest.reference_thresholds,
            sync=SyncConfig(max_skew_ms=5.0),
            decision=DecisionConfig(deadline_ms=deadline_ms),
        )
        graph = manifest.graphs[0]
        return LoadedBundle(
            bundle=bundle,
            graph=graph,
            scorer=Scorer(manifest, runner, manifest.reference_thresholds),
            policy=policy,
            make=ResultMaker(session=session, bundle=bundle, graph=graph, policy=policy, origin=ORIGIN),
            baseline=bundle_baseline(bundle),
        )

    yield load
    for bundle in opened:
        bundle.close()


@pytest.fixture
def scoring() -> Iterator[ScoringThread]:
    thread = ScoringThread()
    yield thread
    assert thread.close(10), "a test leaves its scoring hanging"


@pytest.fixture
def line(told: Told, scoring: ScoringThread) -> Callable[..., InspectionLine]:
    def build(bundles: ActiveBundle | LoadedBundle, **changes: object) -> InspectionLine:
        slot = (
            bundles if isinstance(bundles, ActiveBundle) else ActiveBundle(bundles, release=scoring.release)
        )
        alarms = Alarms("s", told)
        made = InspectionLine(
            bundles=slot,
            gate=told,
            outbox=told,
            evidence=told,
            show=told.show,
            clock=monotonic_ns,
            scoring=scoring,
            line_monitor=LineMonitor(AlarmsConfig(), alarms, period_ms=None, now_ns=0),
            deadline_monitor=DeadlineMonitor(alarms),
        )
        return replace(made, **changes)  # type: ignore[arg-type]

    return build


def part(number: int, *, missing: tuple[str, ...] = (), fault: str = "") -> ViewSet:
    now_ns = monotonic_ns()
    image = np.full((SIDE, SIDE, 3), 40 + number, np.uint8)
    frames = {
        view: Frame(view=view, image=image, captured_ns=now_ns, frame_id=number)
        for view in VIEWS
        if view not in missing
    }
    return ViewSet(
        trigger_id=f"t{number}", part_id=f"p{number}", triggered_ns=now_ns, frames=frames,
        missing=missing, skew_ms=0.0, fault=fault,
    )  # fmt: skip


def parts(count: int) -> Iterator[ViewSet]:
    return (part(number) for number in range(count))


def verdicts(told: Told) -> list[str]:
    return [decision.verdict for decision in told.decisions]


def test_the_line_goes_first_from_the_images_to_the_decision(
    told: Told, line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle]
) -> None:
    class Way(RightOfWay):
        def __enter__(self) -> None:
            super().__enter__()
            told.events.append(("way", "taken"))

        def __exit__(self, *what: object) -> None:
            told.events.append(("way", "free"))
            super().__exit__(None, None, None)

    line(loaded(Runner()), right_of_way=Way()).run([part(1)])
    names = [name if name != "way" else what for name, what in told.events]
    assert names == ["taken", "decision", "free", "kept", "shown"]


def test_the_gate_hears_first_then_the_result_is_kept_then_shown(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    counts = line(loaded(Runner())).run(parts(2))
    assert told.events == [(what, p) for p in ("p0", "p1") for what in ("decision", "kept", "shown")]
    assert counts == {"OK": 2}
    for decision, result in zip(told.decisions, told.results, strict=True):
        assert (decision.result_id, decision.trigger_id) == (result.result_id, result.trigger_id)
        assert result.evidence == f"/evidence/{result.result_id}-OK", "what keeping adds is shown"
        assert result.score_raw == pytest.approx(1.0)
        assert result.durations_ms["score"] >= 0
    assert [decision.seq for decision in told.decisions] == [1, 2]


def test_a_candidate_gets_each_part_after_its_result_with_what_makes_it_comparable(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    offered: list[FinishedPart] = []

    class Shadow:
        def offer(self, part: FinishedPart) -> None:
            assert told.results[-1].result_id == part.result.result_id
            offered.append(part)

    line(loaded(Runner()), shadow=Shadow()).run([part(0), part(1, missing=("left",)), part(2, fault="skew")])
    assert [one.complete for one in offered] == [True, False, False]
    assert set(offered[0].images) == set(VIEWS)
    assert offered[0].bundle_name == "bracket"


def test_a_part_over_the_threshold_is_ng(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    assert line(loaded(Runner(1001.0))).run(parts(1)) == {"NG": 1}
    assert told.results[0].views[0].regions


def test_a_part_with_a_missing_view_or_a_fault_is_not_scored_and_never_ok(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    runner = Runner()
    sets = [part(0, missing=("left",)), part(1, fault="skew of 9 ms"), part(2)]
    assert line(loaded(runner)).run(sets) == {"UNDECIDED": 2, "OK": 1}
    assert runner.count == 1
    assert told.scored == [False, False, True]


@pytest.mark.parametrize("error", [RuntimeError("boom"), MemoryError(), KeyError("x"), DeviceError("lost")])
def test_an_error_of_scoring_costs_one_part_and_is_an_alarm(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told, error: Exception
) -> None:
    def fail() -> None:
        raise error

    counts = line(loaded(Runner(before={1: fail}))).run(parts(3))
    assert (counts, verdicts(told)) == ({"OK": 2, "UNDECIDED": 1}, ["OK", "UNDECIDED", "OK"])
    text = "lost" if isinstance(error, DeviceError) else type(error).__name__
    assert text in told.decisions[1].reason
    assert told.decisions[1].reason_code == "scoring_failed"
    alarm = told.alarms["scoring_failed"]
    assert alarm is not None
    assert text in alarm.text
    assert [result.part_id for result in told.results] == ["p0", "p1", "p2"]


def test_a_part_whose_scoring_hangs_is_undecided_and_its_late_answer_is_never_told(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    go_on = threading.Event()
    turns: list[int] = []
    runner = Runner(before={1: lambda: go_on.wait(PATIENCE_S) and None})
    hanging = line(loaded(runner, deadline_ms=SOON_MS), hang_ns=0, turn=lambda: turns.append(1))

    def sets() -> Iterator[ViewSet]:
        yield part(0)
        yield part(1)
        yield part(2)  # while the call for part 1 still does not answer
        go_on.set()
        while runner.count < 2 or hanging.scoring.hangs():
            threading.Event().wait(0.01)
        yield part(3)

    hanging.run(sets())
    assert [d.part_id for d in told.decisions] == ["p0", "p1", "p2", "p3"]
    assert verdicts(told) == ["OK", "UNDECIDED", "UNDECIDED", "OK"]
    for decision in told.decisions[1:3]:
        assert decision.reason.startswith("late: scoring has not answered for")
        assert decision.reason_code == "late"
    assert runner.count == 3, "part 2 was not given to a graph that hangs"
    assert told.scored == [True, False, False, True]
    alarm = told.alarms["late_decisions"]
    assert alarm is not None


def test_evidence_that_fails_costs_neither_the_result_nor_the_next_part(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    told.failing = {"p1"}
    assert line(loaded(Runner())).run(parts(3)) == {"OK": 3}
    assert [decision.part_id for decision in told.decisions] == ["p0", "p1", "p2"]
    assert [result.part_id for result in told.results] == ["p0", "p1", "p2"]
    assert ("kept", "p1") in told.events
    assert told.results[1].evidence is None
    alarm = told.alarms["record_failed"]
    assert alarm is not None
    assert "no evidence" in alarm.text
    assert "KeyError: 'p1'" in alarm.text


def test_a_result_that_the_outbox_refuses_is_an_alarm_and_the_line_goes_on(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    class Refusing:
        def put(self, result: Result) -> None:
            raise KeyError(result.part_id)

    assert line(loaded(Runner()), outbox=Refusing()).run(parts(2)) == {"OK": 2}
    assert [decision.part_id for decision in told.decisions] == ["p0", "p1"]
    assert told.results == []
    alarm = told.alarms["record_failed"]
    assert alarm is not None
    assert "no result" in alarm.text
    assert "KeyError: 'p0'" in alarm.text


def test_another_bundle_takes_over_between_two_parts_and_the_old_one_is_released(
    line: Callable[..., InspectionLine],
    loaded: Callable[..., LoadedBundle],
    told: Told,
    scoring: ScoringThread,
) -> None:
    old, new = Runner(1.0), Runner(1001.0)
    slot = ActiveBundle(loaded(old), release=scoring.release)

    def sets() -> Iterator[ViewSet]:
        yield part(0)
        slot.offer(loaded(new, name="bracket-2"))
        assert not old.closed.is_set()
        yield part(1)

    line(slot).run(sets())
    assert verdicts(told) == ["OK", "NG"]
    assert [result.bundle.name for result in told.results] == ["bracket", "bracket-2"]
    assert old.closed.wait(PATIENCE_S)
    assert [decision.seq for decision in told.decisions] == [1, 2]


def test_a_bundle_that_hangs_is_replaced_without_waiting_for_it(
    line: Callable[..., InspectionLine],
    loaded: Callable[..., LoadedBundle],
    told: Told,
    scoring: ScoringThread,
) -> None:
    go_on = threading.Event()
    old, new = Runner(before={0: lambda: go_on.wait(PATIENCE_S) and None}), Runner()
    slot = ActiveBundle(loaded(old, deadline_ms=SOON_MS), release=scoring.release)

    def sets() -> Iterator[ViewSet]:
        yield part(0)
        slot.offer(loaded(new, deadline_ms=SOON_MS))
        yield part(1)
        assert not old.closed.is_set(), "its call is still under way"
        go_on.set()
        assert old.closed.wait(PATIENCE_S)
        yield part(2)

    line(slot, hang_ns=0).run(sets())
    assert verdicts(told) == ["UNDECIDED", "UNDECIDED", "OK"]


def test_a_part_without_time_for_scoring_is_given_up_at_once(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    runner = Runner()
    slow = line(loaded(runner))
    for _ in range(20):
        slow.scoring_times[None].add(round(2 * NEVER_LATE_MS * 1e6))
    assert slow.run(parts(1)) == {"UNDECIDED": 1}
    assert runner.count == 0
    assert "scoring may take" in told.decisions[0].reason
    assert slow.scoring_times[None].p99_ns() is None, (
        "one of the long times is forgotten, so that there is hope"
    )


def test_a_result_says_whether_the_gate_was_told_and_where_its_evidence_is(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    told.without_evidence = {"p1"}
    reached = {"p0": True, "p1": False}
    kept = line(loaded(Runner()), gate_told=lambda _: reached[told.decisions[-1].part_id])
    kept.run(parts(2))
    assert [result.gate_told for result in told.results] == [True, False]
    assert [result.evidence is not None for result in told.results] == [True, False]


def test_the_cameras_are_watched_by_the_images_of_scored_parts_alone(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle]
) -> None:
    offered: list[tuple[str, ...]] = []

    class Views:
        def offer(
            self, images: Mapping[str, RgbImage], baseline: Baseline, product: str | None = None
        ) -> None:
            assert (set(baseline.views), product) == (set(VIEWS), None)
            offered.append(tuple(images))

    line(loaded(Runner()), views=Views()).run([part(0), part(1, fault="skew of 9 ms")])
    assert offered == [VIEWS]


def test_a_line_without_evidence_and_watch_delivers_its_results(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    assert line(loaded(Runner()), evidence=None).run(parts(1)) == {"OK": 1}
    assert told.events == [("decision", "p0"), ("kept", "p0"), ("shown", "p0")]
    assert told.results[0].evidence is None


class Collected:
    """An evidence sink that keeps what it is given."""

    def __init__(self) -> None:
        self.jobs: list[EvidenceJob] = []

    def reserve(self, result_id: str, verdict: VerdictName) -> Reserved:
        return Reserved(folder=f"/evidence/{result_id}-{verdict}", why="verdict")

    def offer(self, job: EvidenceJob) -> bool:
        self.jobs.append(job)
        return True


class GivenScores:
    """A scorer whose answer is given."""

    def __init__(self, scores: Scores) -> None:
        self._scores = scores

    def score(self, _images: Mapping[str, RgbImage]) -> Scores:
        return self._scores


def given(loaded: LoadedBundle, **changes: object) -> LoadedBundle:
    maps = np.stack([np.full((SIDE, SIDE), 1.0 + v, np.float32) for v in range(len(VIEWS))])
    scores = Scores(
        inputs=np.stack([np.full((SIDE, SIDE, 3), 10 + v, np.uint8) for v in range(len(VIEWS))]),
        maps=maps,
        raw_maps=maps,
        masks=None,
        views={"top": 1.0, "left": 2.0},
        part=2.0,
        empty=(),
        highest=2.0,
    )
    return replace(loaded, scorer=GivenScores(replace(scores, **changes)))  # type: ignore[arg-type]


def test_evidence_of_a_scored_part_has_camera_image_model_image_and_map_of_each_view(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    evidence, bundle = Collected(), given(loaded(Runner()))
    watched = part(0)
    line(bundle, evidence=evidence).run([watched])
    (job,) = evidence.jobs
    assert job.result.evidence == told.results[0].evidence
    assert set(job.originals) == set(job.images) == set(job.maps) == set(VIEWS)
    for number, view in enumerate(VIEWS):
        assert job.originals[view] is watched.frames[view].image
        assert (job.images[view] == 10 + number).all()
        assert (job.maps[view] == 1.0 + number).all()
    assert job.scales == bundle.manifest.reference_thresholds.views


def test_evidence_has_the_maps_of_scored_views_alone(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle]
) -> None:
    evidence = Collected()
    some = given(loaded(Runner()), views={"left": 2.0})
    line(some, evidence=evidence).run([part(0), part(1, fault="skew of 9 ms")])
    scored, unscored = evidence.jobs
    assert (set(scored.images), set(scored.maps)) == ({"left"}, {"left"})
    assert (scored.images["left"] == 11).all()
    assert set(unscored.originals) == set(VIEWS)
    assert (unscored.images, unscored.maps, unscored.scales) == ({}, {}, {})


@pytest.mark.parametrize("short", ["maps", "inputs"])
def test_arrays_that_do_not_belong_to_the_views_are_not_kept_under_their_names(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told, short: str
) -> None:
    evidence = Collected()
    bundle = given(loaded(Runner()))
    whole = bundle.scorer.score({})
    wrong = given(bundle, **{short: getattr(whole, short)[:1]})
    assert line(wrong, evidence=evidence).run([part(0)]) == {"OK": 1}
    assert evidence.jobs == []
    assert told.alarms["record_failed"] is not None


def test_images_that_do_not_belong_to_the_views_are_not_shown_under_their_names(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    offered: list[Mapping[str, RgbImage]] = []

    class Views:
        def offer(
            self, images: Mapping[str, RgbImage], baseline: Baseline, product: str | None = None
        ) -> None:
            assert (set(baseline.views), product) == (set(VIEWS), None)
            offered.append(images)

    bundle = given(loaded(Runner()))
    line(bundle, evidence=None, views=Views()).run([part(0)])
    assert {view: int(image[0, 0, 0]) for view, image in offered[0].items()} == {"top": 10, "left": 11}
    inputs = bundle.scorer.score({}).inputs
    wrong = given(bundle, inputs=np.concatenate([inputs, inputs[:1]]))
    line(wrong, evidence=None, views=Views()).run([part(1)])
    assert len(offered) == 1
    assert told.alarms["record_failed"] is not None


def test_scores_that_cannot_be_judged_are_none(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle], told: Told
) -> None:
    odd = given(loaded(Runner()), views={"top": 1.0, "left": 2.0, "nobody's": 3000.0}, part=3000.0)
    assert line(odd).run(parts(1)) == {"UNDECIDED": 1}
    assert told.decisions[0].reason_code == "scoring_failed"
    assert told.decisions[0].reason.startswith("scoring failed: KeyError")


class Watched:
    def __init__(self) -> None:
        self.parts: list[AcceptedPart] = []

    def offer(self, part: AcceptedPart) -> None:
        self.parts.append(part)


def test_only_parts_that_are_ok_with_all_views_are_watched_for_drift(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle]
) -> None:
    watched, bundle = Watched(), given(loaded(Runner()), part=0.0)
    assert line(bundle, drift=watched).run([part(0), part(1, fault="broken")])["OK"] == 1
    line(given(bundle, part=1e6), drift=watched).run([part(2)])
    (only,) = watched.parts
    assert only.loaded is bundle
    assert set(only.views) == set(VIEWS)
    assert all(view.exact for view in only.views.values())  # the bundle has no foreground


def test_a_view_whose_mask_was_not_asked_for_gives_its_bound(
    line: Callable[..., InspectionLine], loaded: Callable[..., LoadedBundle]
) -> None:
    watched = Watched()
    masks = np.ones((len(VIEWS), SIDE, SIDE), np.uint8)
    found = given(
        loaded(Runner()), part=0.0, masks=masks, masked=("top",), unmasked={"top": 3.0, "left": 2.0}
    )
    line(found, drift=watched).run([part(0)])
    (only,) = watched.parts
    assert only.views["top"].exact
    assert only.views["top"].unmasked > only.views["top"].score
    assert not only.views["left"].exact
    assert only.views["left"].unmasked == only.views["left"].score
