"""The steps to another box file, without a box: killed anywhere, it goes on, with a way back."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.fleet.box_files.publication import BoxFilePublication
from edgeflow.fleet.box_files.steps import (
    BoxFileAction,
    BoxFileState,
    BoxFileWorld,
    Running,
    checked,
    next_step,
    turned_back,
)
from edgeflow.history.records import Position

OLD, NEW, OTHER = "a" * 64, "b" * 64, "c" * 64


def published(sha256: str = NEW, number: int = 1) -> BoxFilePublication:
    return BoxFilePublication(
        id=f"box-20261129T10000{number}Z-{sha256[:8]}", station="p/l/s", sha256=sha256, parts=10, undecided=2,
        wait_s=60,
    )  # fmt: skip


def runs(sha256: str, *, session: str = "one", in_order: bool = True) -> Running:
    return Running(sha256=sha256, session=session, in_order=in_order)


@dataclass
class Box:
    """A box that does what it is told at once, or whose agent dies before or after it.

    Attributes:
        good: the new file passes its trial.
        starts: the box comes up with the new file.
    """

    world: BoxFileWorld
    state: BoxFileState = field(default_factory=BoxFileState)
    good: bool = True
    starts: bool = True

    def step(self, *, dies: str = "") -> BoxFileAction:
        state, action = next_step(self.state, self.world)
        if dies == "before the state":
            return action
        self.state = BoxFileState.model_validate_json(state.model_dump_json(by_alias=True))
        if dies != "before the action":
            self._do(action)
        self.world = replace(self.world, now_s=self.world.now_s + 5)
        if self.world.running is None and self.world.present == OLD:  # its service manager goes on trying
            self.world = replace(self.world, running=runs(OLD, session="three"))
        return action

    def _do(self, action: BoxFileAction) -> None:
        world = self.world
        if action == "check":
            self.state = (
                checked(self.state, world.present)
                if self.good
                else turned_back(self.state, "refused", "camera top: not there")
            )
        elif action == "place":
            self.world = replace(world, present=NEW)
        elif action == "put_back":
            self.world = replace(world, present=self.state.previous)
        elif action == "restart":
            comes = world.present == OLD or self.starts
            self.world = replace(world, running=runs(world.present, session="two") if comes else None)

    def until(self, *phases: str) -> None:
        for _ in range(40):
            self.step()
            if self.state.phase in phases:
                return
        raise AssertionError(self.state)


def box(**changes: object) -> Box:
    world = BoxFileWorld(
        wanted=published(), present=OLD, running=runs(OLD), now_s=100.0, latest=Position(number=7)
    )
    return Box(world, **changes)  # type: ignore[arg-type]


def test_a_file_is_checked_placed_read_by_the_box_watched_and_good() -> None:
    found = box()
    assert [found.step() for _ in range(4)] == ["check", "place", "none", "restart"]
    found.step()
    assert (found.state.phase, found.state.baseline, found.world.present) == ("watching", 7, NEW)
    found.world = replace(found.world, parts=10, undecided=2)
    found.step()
    assert found.state.phase == "good"
    assert found.step() == "none"


def test_a_file_that_fails_its_trial_changes_nothing_and_is_not_tried_again() -> None:
    found = box(good=False)
    found.step()
    assert (found.state.phase, found.world.present) == ("refused", OLD)
    assert [found.step() for _ in range(3)] == ["none"] * 3
    found.world = replace(found.world, wanted=published(number=2))  # published anew: somebody has mended it
    assert found.step() == "check"


def test_a_file_with_which_the_box_does_not_come_back_is_left() -> None:
    found = box(starts=False)
    found.until("rolled_back")
    assert found.world.present == OLD
    assert found.state.reason == "the box did not inspect again within 60 s"
    assert found.step() == "none"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"parts": 5, "undecided": 3}, "3 of 5 parts UNDECIDED (bound 2 of 10)"),
        ({"running": None}, "the box has not inspected for 60 s"),
        ({"running": runs(NEW, in_order=False)}, "the box has not inspected for 60 s"),
    ],
)
def test_a_file_beyond_its_bounds_is_left(changes: dict[str, object], reason: str) -> None:
    found = box()
    found.until("watching")
    found.world = replace(found.world, **changes)  # type: ignore[arg-type]
    found.until("rolling_back")
    assert found.state.reason == reason
    found.world = replace(found.world, running=runs(NEW), parts=0, undecided=0)
    found.until("rolled_back")
    assert (found.world.present, found.world.running and found.world.running.sha256) == (OLD, OLD)


def test_a_box_that_starts_again_and_again_with_it_leaves_it() -> None:
    found = box()
    found.until("watching")
    for number in range(3):
        found.world = replace(found.world, running=runs(NEW, session=f"again {number}"))
        found.step()
    assert (found.state.phase, found.state.reason) == (
        "rolling_back",
        "the box started anew 3 times by itself",
    )


def test_a_file_that_somebody_changes_by_hand_stays() -> None:
    found = box()
    found.until("watching")
    found.world = replace(found.world, present=OTHER)
    found.step()
    assert (found.state.phase, found.world.present) == ("rolled_back", OTHER)
    assert "by hand" in found.state.reason
    assert found.step() == "none"


def test_a_line_that_stands_takes_the_next_file() -> None:
    found = box()
    found.until("watching")
    found.world = replace(found.world, wanted=published(OTHER, 2))
    found.step()
    assert found.state.phase == "good"
    assert found.step() == "check"


def test_a_repository_that_is_away_holds_up_no_way_back() -> None:
    found = box()
    found.until("watching")
    found.world = replace(found.world, wanted=None, parts=9, undecided=9)
    found.until("rolled_back")
    assert found.world.present == OLD


def test_a_computer_that_starts_anew_does_not_count_hours() -> None:
    found = box(starts=False)
    found.until("starting")
    found.world = replace(found.world, now_s=1.0, running=None)
    found.step()
    assert (found.state.phase, found.state.since_s) == ("starting", 1.0)


DEATHS = ["", "before the state", "before the action"]


@given(st.lists(st.sampled_from(DEATHS), max_size=12), st.sampled_from(["good", "bad", "dead", "refused"]))
def test_killed_at_any_steps_it_ends_where_it_would_have_ended(deaths: list[str], kind: str) -> None:
    found = box(good=kind != "refused", starts=kind != "dead")
    for dies in itertools.chain(deaths, [""] * 40):
        assert found.world.present in (OLD, NEW)
        found.step(dies=dies)
        if found.state.phase == "watching":
            found.world = replace(found.world, parts=10, undecided=10 if kind == "bad" else 0)
    ends = {"good": "good", "refused": "refused"}
    assert found.state.phase == ends.get(kind, "rolled_back")
    assert found.world.present == (NEW if kind == "good" else OLD)
    assert found.world.running is not None
    assert found.world.running.sha256 == found.world.present
