"""Triggers, frames and results counted against each other."""

from __future__ import annotations

import numpy as np

from edgeflow.cameras.camera import Frame
from edgeflow.capture.reconciliation import Reconciler
from edgeflow.capture.view_set import ViewSet

VIEWS = ("top", "left")
IMAGE = np.zeros((1, 1, 3), np.uint8)


def view_set(name: str, *missing: str, refused: bool = False) -> ViewSet:
    frames = {
        view: Frame(view=view, image=IMAGE, captured_ns=0, frame_id=0)
        for view in VIEWS
        if view not in missing and not refused
    }
    return ViewSet(trigger_id=name, part_id=name, triggered_ns=0, frames=frames, missing=missing, skew_ms=0.0)


def inspect(reconciler: Reconciler, name: str, *missing: str) -> None:
    reconciler.triggered(name)
    reconciler.settled(view_set(name, *missing))
    reconciler.decided()


def test_figures_agree_while_nothing_is_lost() -> None:
    reconciler = Reconciler(VIEWS, named=True)
    for number in range(5):
        inspect(reconciler, f"t{number}")
    reconciler.triggered("refused")
    reconciler.settled(view_set("refused", refused=True))
    reconciler.decided()
    tally = reconciler.tally()
    assert tally.agrees
    assert (tally.triggers, tally.view_sets, tally.results, tally.refused) == (6, 6, 6, 1)
    assert tally.frames == {"top": 5, "left": 5}
    assert reconciler.problem == ""


def test_the_first_missing_frame_is_named_until_parts_agree_again() -> None:
    reconciler = Reconciler(VIEWS, named=True)
    inspect(reconciler, "t1")
    inspect(reconciler, "t2", "left")
    inspect(reconciler, "t3", "top")
    assert "'t2' has no frame of view 'left'" in reconciler.problem
    assert not reconciler.tally().agrees
    for number in range(20):
        assert reconciler.problem
        inspect(reconciler, f"u{number}")
    assert reconciler.problem == ""


def test_a_trigger_that_makes_no_set_is_named() -> None:
    reconciler = Reconciler(VIEWS, named=True)
    for name in ("t1", "t2", "t3"):
        reconciler.triggered(name)
    reconciler.settled(view_set("t1"))
    assert reconciler.problem == ""
    reconciler.settled(view_set("t3"))
    assert reconciler.problem == "trigger 't2' made no view set"


def test_frames_without_a_trigger_are_named() -> None:
    reconciler = Reconciler(VIEWS, named=True)
    reconciler.triggered("t1")
    reconciler.settled(view_set("s-000001"))
    assert "'s-000001', which no trigger announced" in reconciler.problem
    reconciler.settled(view_set("t1"))
    assert reconciler.tally().triggers == 1


def test_cameras_that_run_by_themselves_are_counted_by_their_sets() -> None:
    reconciler = Reconciler(VIEWS, named=False)
    reconciler.settled(view_set("s-000001"))
    reconciler.decided()
    assert reconciler.tally().agrees
    assert reconciler.problem == ""


def test_a_contradiction_of_counters_and_time_is_a_disagreement() -> None:
    reconciler = Reconciler(VIEWS, named=False)
    reconciler.mismatched("view 'left': its counter jumped by 9 triggers")
    assert "counter jumped" in reconciler.problem
    assert "check its trigger cable" in reconciler.problem
