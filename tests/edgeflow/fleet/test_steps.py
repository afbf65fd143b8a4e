"""The steps of a box, without a box: killed anywhere, it goes on; nothing that failed is tried again."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.fleet.rollout import Bounds, Release
from edgeflow.fleet.steps import Action, AgentState, Observed, Proof, World, judge, next_step, refused
from edgeflow.history.records import Position

OLD, NEW, BAD = "a" * 64, "b" * 64, "c" * 64
BOUNDS = Bounds(parts=100)


def release(sha256: str = NEW, **bounds: object) -> Release:
    return Release(
        id=f"bracket-2-{sha256[:8]}",
        target="bundles/x.bundle",
        name="bracket",
        version=2,
        sha256=sha256,
        groups=("canary",),
        bounds=BOUNDS.model_copy(update=bounds),
        published_at="2026-11-29T10:00:00+00:00",
    )


@dataclass
class Box:
    """A box that does at once what it is told, or dies before or after it."""

    world: World
    state: AgentState = field(default_factory=AgentState)

    def step(self, *, dies: str = "") -> Action:
        """One step; killed with the state on the disk, or with the action done as well, or not at all."""
        state, action = next_step(self.state, self.world)
        if dies == "before the state":
            return action
        self.state = AgentState.model_validate_json(state.model_dump_json(by_alias=True))
        if dies != "before the action":
            self._do(action)
        return action

    def _do(self, action: Action) -> None:
        world = self.world
        if action == "download":
            self.world = replace(world, downloaded=True)
        elif action == "switch" and world.release is not None:
            self.world = replace(world, running=world.release.sha256, previous=world.running)
        elif action == "roll_back" and world.running == self.state.sha256:  # as the box's command does
            self.world = replace(world, running=world.previous, previous=world.running)


def test_a_release_is_downloaded_switched_to_watched_and_good() -> None:
    box = Box(World(release=release(), running=OLD, latest=Position(number=17, history="h")))
    assert [box.step() for _ in range(3)] == ["download", "switch", "none"]
    assert (box.state.phase, box.state.previous) == ("watching", OLD)
    assert box.state.since == Position(number=17, history="h")
    box.world = replace(box.world, observed=Observed(parts=99))
    assert box.step() == "none"
    assert box.state.phase == "watching"
    box.world = replace(box.world, observed=Observed(parts=100, undecided=5, ng=20))
    box.step()
    assert box.state.phase == "good"


@pytest.mark.parametrize(
    ("observed", "judgement", "words"),
    [
        (Observed(parts=10, failures=3, undecided=3), "roll_back", "could not be scored"),
        (Observed(parts=50, undecided=6), "roll_back", "UNDECIDED"),
        (Observed(parts=60, undecided=5), "watching", ""),
        (Observed(parts=60, compared=55, turned=6), "roll_back", "judged otherwise"),
        (Observed(parts=60, compared=9, turned=5), "watching", ""),
        (Observed(parts=60, ng=21), "paused", "NG"),
        (Observed(parts=60, ng=21, ng_before=0.1), "watching", ""),
        (Observed(parts=100, ng=25, ng_before=0.1, compared=90, turned=9), "good", ""),
    ],
)
def test_ng_alone_pauses_and_everything_else_beyond_its_bound_rolls_back(
    observed: Observed, judgement: str, words: str
) -> None:
    found, reason = judge(observed, BOUNDS)
    assert found == judgement
    assert words in reason


def test_a_bundle_beyond_its_bounds_is_left_and_never_taken_again() -> None:
    box = Box(World(release=release(), running=OLD, downloaded=True))
    box.step()
    box.step()
    box.world = replace(box.world, observed=Observed(parts=10, failures=3))
    assert box.step() == "roll_back"
    assert box.step() == "none"
    assert (box.state.phase, box.world.running) == ("rolled_back", OLD)
    assert "could not be scored" in box.state.reason
    for _ in range(3):
        assert box.step() == "none"
    later = release("d" * 64)
    box.world = replace(box.world, release=later, downloaded=False, observed=Observed())
    assert box.step() == "download"


def test_a_pause_is_no_roll_back_and_may_become_one() -> None:
    box = Box(World(release=release(), running=OLD, downloaded=True))
    box.step()
    box.step()
    box.world = replace(box.world, observed=Observed(parts=60, ng=40))
    assert box.step() == "none"
    assert (box.state.phase, box.world.running) == ("paused", NEW)
    box.world = replace(box.world, observed=Observed(parts=70, ng=40, failures=3))
    assert box.step() == "roll_back"


def test_a_bundle_is_proven_in_the_shadow_first_where_the_release_asks_for_it() -> None:
    wanted = release(prove_parts=50)
    box = Box(World(release=wanted, running=OLD, downloaded=True, can_prove=True))
    assert box.step() == "prove"
    box.world = replace(box.world, proof=Proof(compared=49, turned=4))
    assert box.step() == "prove"
    box.world = replace(box.world, proof=Proof(compared=50, turned=5))
    assert box.step() == "switch"

    box = Box(World(release=wanted, running=OLD, downloaded=True, can_prove=True))
    box.step()
    box.world = replace(box.world, proof=Proof(compared=30, turned=4))
    assert box.step() == "none"
    assert box.state.phase == "refused"
    assert "would turn" in box.state.reason
    assert box.step() == "none"
    assert box.world.running == OLD


def test_a_bundle_that_the_box_refuses_is_not_tried_again() -> None:
    box = Box(World(release=release(), running=OLD, downloaded=True))
    box.step(dies="before the action")
    box.state = refused(box.state, "golden parts are not reproduced")
    assert box.step() == "none"
    assert (box.state.phase, box.world.running) == ("refused", OLD)


def test_a_revoked_bundle_is_left_for_the_one_before() -> None:
    box = Box(World(release=release(), running=OLD, downloaded=True))
    box.step()
    box.step()
    box.world = replace(box.world, release=None, revoked=frozenset({NEW}))
    assert box.step() == "roll_back"
    box.step()
    assert (box.state.phase, box.world.running) == ("rolled_back", OLD)
    box.step()
    assert box.state.phase == "idle"


def test_a_revoked_bundle_without_a_permitted_one_before_is_told() -> None:
    box = Box(World(release=None, running=NEW, previous=BAD, revoked=frozenset({NEW, BAD})))
    assert box.step() == "none"
    assert box.state.phase == "refused"
    assert "no permitted one" in box.state.reason


def test_a_release_that_is_revoked_while_it_is_downloaded_is_dropped() -> None:
    box = Box(World(release=release(), running=OLD))
    box.step(dies="before the action")
    box.world = replace(box.world, release=None, revoked=frozenset({NEW}))
    assert box.step() == "none"
    assert box.state.phase == "idle"


def test_a_bundle_that_somebody_gave_the_box_by_hand_stays() -> None:
    box = Box(World(release=release(), running=OLD, downloaded=True))
    box.step()
    box.step()
    box.world = replace(box.world, running=OLD, previous=NEW)
    assert box.step() == "none"
    assert box.state.phase == "rolled_back"
    assert "by hand" in box.state.reason
    assert box.step() == "none"
    assert box.world.running == OLD


DEATHS = ["", "before the state", "before the action"]


@given(st.lists(st.sampled_from(DEATHS), max_size=8), st.booleans(), st.booleans())
def test_killed_at_any_steps_it_ends_where_it_would_have_ended(
    deaths: list[str], bad: bool, prove: bool
) -> None:
    box = Box(World(release=release(prove_parts=5 if prove else 0), running=OLD, can_prove=True))
    for dies in itertools.chain(deaths, [""] * 12):
        assert box.world.running in (OLD, NEW)
        box.step(dies=dies)
        if box.state.phase == "proving":
            box.world = replace(box.world, proof=Proof(compared=5))
        if box.state.phase == "watching":
            box.world = replace(box.world, observed=Observed(parts=100, failures=5 if bad else 0))
    assert box.state.phase == ("rolled_back" if bad else "good")
    assert box.world.running == (OLD if bad else NEW)
