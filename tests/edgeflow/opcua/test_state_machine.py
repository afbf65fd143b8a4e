"""States of the box as OPC 40100-1 names them."""

from __future__ import annotations

from typing import get_args

from edgeflow.contracts.messages import StateName
from edgeflow.opcua.state_machine import VisionState, vision_state


def test_every_state_of_a_box_is_one_of_both_machines() -> None:
    names = {*get_args(StateName), "SingleExecution"}  # which no box takes today
    found = {name: vision_state(name) for name in names}
    assert found == {
        "PreOperational": VisionState(system="Preoperational"),
        "Halted": VisionState(system="Halted"),
        "Error": VisionState(system="Error"),
        "Initialized": VisionState(system="Operational", automatic="Initialized"),
        "Ready": VisionState(system="Operational", automatic="Ready"),
        "SingleExecution": VisionState(system="Operational", automatic="SingleExecution"),
        "ContinuousExecution": VisionState(system="Operational", automatic="ContinuousExecution"),
    }


def test_a_box_that_does_not_answer_is_an_error() -> None:
    assert vision_state(None) == VisionState(system="Error")
