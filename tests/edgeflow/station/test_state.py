"""The states of OPC 40100-1: which may follow which, and what happens to parts meanwhile."""

from __future__ import annotations

import typing
from itertools import product

import pytest

from edgeflow.capture.view_set import ViewSet
from edgeflow.contracts.messages import State, StateName
from edgeflow.errors import UsageError
from edgeflow.station.state import STOPPED, Event, StationState, follow

STATES: tuple[StateName, ...] = typing.get_args(StateName)
EVENTS: tuple[Event, ...] = typing.get_args(Event)


class Told:
    def __init__(self) -> None:
        self.states: list[State] = []

    def publish_state(self, state: State) -> None:
        self.states.append(state)


def running(told: Told) -> StationState:
    state = StationState(told, "s", lambda: "bracket")
    state.move("opened", "cameras open")
    state.move("prepared", "ready")
    state.move("start", "running")
    return state


def test_a_box_starts_and_ends_through_all_its_states() -> None:
    told = Told()
    running(told).move("halt", "stopped")
    assert [state.state for state in told.states] == [
        "PreOperational", "Initialized", "Ready", "ContinuousExecution", "Halted",
    ]  # fmt: skip
    assert [state.ready for state in told.states] == [False, False, True, True, False]
    assert {state.recipe for state in told.states} == {"bracket"}


@pytest.mark.parametrize("state", STATES)
def test_every_state_but_the_last_can_fail_and_halt_and_none_is_left_out(state: StateName) -> None:
    ways = {event: follow(state, event) for event in EVENTS}
    if state == "Halted":
        assert set(ways.values()) == {None}
    else:
        assert (ways["fail"], ways["halt"]) == ("Error", "Halted")


def test_only_a_ready_station_starts() -> None:
    ways = {
        state for state, event in product(STATES, EVENTS) if follow(state, event) == "ContinuousExecution"
    }
    assert ways == {"Ready", "ContinuousExecution"}
    told = Told()
    state = StationState(told, "s", lambda: "bracket")
    for event in ("start", "stop", "reset"):
        with pytest.raises(UsageError, match="PreOperational"):
            state.move(typing.cast("Event", event), "")
    assert len(told.states) == 1


def view_set(name: str) -> ViewSet:
    return ViewSet(trigger_id=name, part_id=name, triggered_ns=0, frames={}, missing=(), skew_ms=None)


def test_parts_that_the_line_asks_about_are_answered_while_stopped_others_are_not_taken() -> None:
    for asked in (True, False):
        state = running(Told())
        came = state.inspected((view_set(str(n)) for n in range(4)), asked=asked)
        assert not next(came).fault
        state.move("stop", "stopped by command")
        if asked:
            assert next(came).fault == STOPPED
        state.move("start", "running")
        assert not next(came).fault


def test_views_without_a_camera_are_told_with_the_state_when_they_change() -> None:
    told = Told()
    state = running(told)
    before = len(told.states)
    for views in ((), ("top",), ("top",), ()):
        state.degrade(views)
    assert [(s.state, s.degraded_views) for s in told.states[before:]] == [
        ("ContinuousExecution", ("top",)),
        ("ContinuousExecution", ()),
    ]
