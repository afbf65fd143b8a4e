"""The message ``fleet``: the bundle that a box's fleet wants, and the progress of its agent."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgeflow.contracts.message_parts.base import Message, Timestamp

__all__ = ["BoxFilePhase", "BoxFileStatus", "FleetPhase", "FleetStatus"]

FleetPhase = Literal[
    "idle",
    "downloading",
    "proving",
    "switching",
    "watching",
    "good",
    "paused",
    "rolling_back",
    "rolled_back",
    "refused",
]

BoxFilePhase = Literal[
    "idle",
    "checking",
    "placing",
    "starting",
    "watching",
    "good",
    "rolling_back",
    "starting_back",
    "rolled_back",
    "refused",
]


class BoxFileStatus(Message):
    """State of the box file that the repository has for this station."""

    id: str = Field(description="of the publication, as 'edgeflow fleet publish-box' told it")
    phase: BoxFilePhase = Field(
        description="good: the box came back with it, and its first parts kept the bounds; refused: never "
        "put in place; rolled_back: put in place, and left again"
    )
    reason: str = Field(default="", description="why it is refused or rolled back")
    parts: int = Field(default=0, description="watched so far")
    of_parts: int = 0


class FleetStatus(Message):
    """State of the agent that follows a fleet's repository, retained."""

    schema_: Literal["edgeflow/fleet/1"] = Field(default="edgeflow/fleet/1", alias="schema")
    box: str = Field(description="the box's name among all boxes")
    group: str
    phase: FleetPhase = Field(
        description="good: the first parts after the switch kept all bounds; refused: never taken; "
        "rolled_back: taken, and left again"
    )
    release: str | None = Field(default=None, description="that the group has; null: none")
    reason: str = Field(default="", description="why it is paused, rolled back or refused")
    bundle_sha256: str | None = Field(
        default=None, description="of the bundle that inspects; null: not known"
    )
    parts: int = Field(default=0, description="watched, or judged beside the running bundle while proving")
    of_parts: int = 0
    compared: int | None = Field(
        default=None,
        description="parts that the release and another bundle judged both, in the shadow; null: not known",
    )
    turned: int | None = Field(
        default=None, description="of these, with another verdict outside the tolerance"
    )
    box_file: BoxFileStatus | None = Field(
        default=None, description="the box file of the fleet; null: the repository has none for this station"
    )
    problem: str = Field(
        default="", description="why the repository cannot be followed just now; empty: it is followed"
    )
    repository_version: int = Field(default=0, description="version of the timestamp that was trusted last")
    seen_at: Timestamp | None = Field(default=None, description="when that was")
    at: Timestamp
