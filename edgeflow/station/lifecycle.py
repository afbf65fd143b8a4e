"""The station's states by their OPC 40100-1 names, and which may follow which: pure."""

from __future__ import annotations

from typing import Literal

from edgeflow.contracts.messages import StateName

__all__ = ["Event", "follow"]

Event = Literal["opened", "prepared", "start", "stop", "reset", "fail", "halt"]
"""What moves the station: the golden parts and cameras stand ready (``opened``), the recipe is loaded
(``prepared``), an operator's words, a failure, the end."""

_EVERYWHERE: dict[Event, StateName] = {"fail": "Error", "halt": "Halted"}
_FOLLOWING: dict[tuple[StateName, Event], StateName] = {
    ("PreOperational", "opened"): "Initialized",
    ("Initialized", "prepared"): "Ready",
    ("Ready", "start"): "ContinuousExecution",
    ("ContinuousExecution", "stop"): "Ready",
    # What is asked for already holds: a controller may repeat itself.
    ("ContinuousExecution", "start"): "ContinuousExecution",
    ("Ready", "stop"): "Ready",
    # Reset takes the station out of a failure; elsewhere it only clears alarms.
    ("Error", "reset"): "Ready",
    ("Ready", "reset"): "Ready",
    ("ContinuousExecution", "reset"): "ContinuousExecution",
}


def follow(state: StateName, event: Event) -> StateName | None:
    """The state after an event; None where it does not fit the present one."""
    if state == "Halted":
        return None  # the end: whatever comes belongs to the next session
    return _EVERYWHERE.get(event) or _FOLLOWING.get((state, event))
