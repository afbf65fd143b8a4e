"""The steps of a box on its way to another box file; pure: what is known goes in, the action comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.message_parts.fleet_status import BoxFilePhase
from edgeflow.fleet.box_files.publication import BoxFilePublication
from edgeflow.history.records import Position

__all__ = ["BoxFileAction", "BoxFileState", "BoxFileWorld", "Running", "checked", "next_step", "turned_back"]

BoxFileAction = Literal["none", "check", "place", "restart", "put_back"]

_MOST_STARTS = 3  # by itself, while its first parts are watched
_UNDER_WAY = ("placing", "starting", "watching", "rolling_back", "starting_back")


class BoxFileState(Document):
    """State of a change of the box file, on the disk before each action.

    Attributes:
        id: of the publication that the phase is about.
        sha256: of its file.
        previous: SHA-256 of the file before.
        since_s: when the phase began, by a clock that only a boot sets back.
        parts, undecided, wait_s: of the publication.
        baseline, history: number of the latest result before the first one under the new file, and the
            history it belongs to.
        session: of the box, when it was last seen; ``starts`` counts the others.
        failed: publications that this box never takes again.
    """

    schema_: Literal["edgeflow/box-file-state/1"] = Field(default="edgeflow/box-file-state/1", alias="schema")
    phase: BoxFilePhase = "idle"
    id: str = ""
    sha256: str = ""
    previous: str = ""
    since_s: float = 0.0
    parts: int = 50
    undecided: int = 5
    wait_s: int = 300
    baseline: int = 0
    history: str = ""
    session: str = ""
    starts: int = 0
    reason: str = ""
    failed: tuple[str, ...] = ()

    @property
    def since(self) -> Position:
        """The latest result before that; what comes after it counts."""
        return Position(number=self.baseline, history=self.history)

    @property
    def under_way(self) -> bool:
        """True from the new file's taking its place until its first parts, or the way back, are over."""
        return self.phase in _UNDER_WAY


@dataclass(frozen=True, kw_only=True)
class Running:
    """The running box.

    Attributes:
        sha256: of the box file that it read at its start.
        in_order: it inspects, or was stopped by a command.
    """

    sha256: str
    session: str
    in_order: bool


@dataclass(frozen=True, kw_only=True)
class BoxFileWorld:
    """All that a step depends on.

    Attributes:
        wanted: None: the repository has no file for this station, or cannot be read just now.
        present: SHA-256 of the file in its place.
        running: None: no box answers.
        now_s: as ``BoxFileState.since_s``.
        latest: the latest result.
        parts, undecided: of the first parts under the new file.
    """

    wanted: BoxFilePublication | None
    present: str
    running: Running | None
    now_s: float
    latest: Position = field(default_factory=Position)
    parts: int = 0
    undecided: int = 0


def next_step(state: BoxFileState, world: BoxFileWorld) -> tuple[BoxFileState, BoxFileAction]:
    """Return the state to keep on the disk, and then the action to take; the same again after a crash."""
    if world.now_s < state.since_s:  # the computer was started anew
        state = state.model_copy(update={"since_s": world.now_s})
    if state.phase in ("rolling_back", "starting_back"):
        return _going_back(state, world)
    if state.under_way:
        return _under_way(state, world)
    wanted = world.wanted
    if wanted is None or wanted.id in state.failed or (wanted.id == state.id and state.phase == "good"):
        return state, "none"
    begun = BoxFileState(
        phase="checking",
        id=wanted.id,
        sha256=wanted.sha256,
        parts=wanted.parts,
        undecided=wanted.undecided,
        wait_s=wanted.wait_s,
        failed=state.failed,
    )
    if world.present == wanted.sha256:
        return begun.model_copy(update={"phase": "good", "reason": "the box had it already"}), "none"
    return begun, "check"


def checked(state: BoxFileState, present: str) -> BoxFileState:
    """Return the state after a file was found good for this box."""
    return state.model_copy(update={"phase": "placing", "previous": present})


def turned_back(state: BoxFileState, phase: BoxFilePhase, reason: str) -> BoxFileState:
    """Return the state after a publication that this box never takes again."""
    failed = tuple(dict.fromkeys([*state.failed, state.id]))[-100:]
    return state.model_copy(update={"phase": phase, "reason": reason, "failed": failed})


def _under_way(state: BoxFileState, world: BoxFileWorld) -> tuple[BoxFileState, BoxFileAction]:
    if state.phase == "placing" and world.present == state.previous:
        return state, "place"
    if world.present != state.sha256:
        return turned_back(state, "rolled_back", "the box was given another file by hand"), "none"
    if state.phase == "placing":
        return state.model_copy(update={"phase": "starting", "since_s": world.now_s}), "none"
    if state.phase == "starting":
        return _starting(state, world)
    return _watching(state, world)


def _starting(state: BoxFileState, world: BoxFileWorld) -> tuple[BoxFileState, BoxFileAction]:
    running, late = world.running, world.now_s - state.since_s > state.wait_s
    if running is not None and running.sha256 == state.sha256 and running.in_order:
        seen = {"since_s": world.now_s, "session": running.session, "starts": 0}
        since = {"baseline": world.latest.number, "history": world.latest.history}
        return state.model_copy(update={"phase": "watching", **seen, **since}), "none"
    if late:
        return _back(state, f"the box did not inspect again within {state.wait_s} s"), "none"
    if running is not None and running.sha256 != state.sha256:
        return state, "restart"
    return state, "none"


def _watching(state: BoxFileState, world: BoxFileWorld) -> tuple[BoxFileState, BoxFileAction]:
    running, wanted, in_order_s = world.running, world.wanted, world.now_s - state.since_s
    if running is not None and running.session != state.session:
        state = state.model_copy(update={"session": running.session, "starts": state.starts + 1})
    reason = _wrong(state, world)
    if reason:
        return _back(state, reason), "none"
    if running is None or not running.in_order:
        return state, "none"
    if wanted is not None and wanted.id != state.id:  # perhaps what a line that stands is waiting for
        return turned_back(state, "good", "another publication came before its first parts were over"), "none"
    if world.parts >= state.parts:
        return state.model_copy(update={"phase": "good", "reason": ""}), "none"
    if in_order_s > state.wait_s / 4:  # in order until now: time counts from here
        state = state.model_copy(update={"since_s": world.now_s})
    return state, "none"


def _wrong(state: BoxFileState, world: BoxFileWorld) -> str:
    """Return why a box leaves its new file; empty where it does not."""
    if world.undecided > state.undecided:
        return (
            f"{world.undecided} of {world.parts} parts UNDECIDED (bound {state.undecided} of {state.parts})"
        )
    if state.starts >= _MOST_STARTS:
        return f"the box started anew {state.starts} times by itself"
    well = world.running is not None and world.running.in_order
    if not well and world.now_s - state.since_s > state.wait_s:
        return f"the box has not inspected for {state.wait_s} s"
    return ""


def _back(state: BoxFileState, reason: str) -> BoxFileState:
    return state.model_copy(update={"phase": "rolling_back", "reason": reason})


def _going_back(state: BoxFileState, world: BoxFileWorld) -> tuple[BoxFileState, BoxFileAction]:
    if state.phase == "rolling_back":
        if world.present == state.sha256:
            return state, "put_back"
        return state.model_copy(update={"phase": "starting_back", "since_s": world.now_s}), "none"
    running = world.running
    if running is not None and running.sha256 != world.present:
        return state, "restart"
    if running is not None and running.in_order:
        return turned_back(state, "rolled_back", state.reason), "none"
    if world.now_s - state.since_s > state.wait_s:
        reason = f"{state.reason}; with the file before, the box does not inspect either: see its log"
        return turned_back(state, "rolled_back", reason), "none"
    return state, "none"
