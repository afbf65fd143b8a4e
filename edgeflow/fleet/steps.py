"""The steps of a box on its way to a release; pure: what is known goes in, the next action comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.message_parts.fleet_status import FleetPhase
from edgeflow.fleet.rollout import Bounds, Release
from edgeflow.history.records import Position

__all__ = ["Action", "AgentState", "Observed", "Proof", "World", "judge", "next_step", "refused"]

Action = Literal["none", "download", "prove", "switch", "roll_back"]
Judgement = Literal["watching", "good", "paused", "roll_back"]

_FEW = 2  # a share is judged from this fraction of the parts on


class AgentState(Document):
    """State of a box's agent, on its disk before each action.

    Attributes:
        release: id of the one that the phase is about.
        sha256: its bundle.
        previous: SHA-256 of the bundle that ran before the switch.
        baseline, history: number of the latest result before the switch, and the history it belongs to.
        compared, turned: parts that the two bundles had compared before that.
        proven, proven_turned: parts that the release was compared on before the switch, and from the end of
            its first parts on also after it.
        failed: releases that this box never takes again.
    """

    schema_: Literal["edgeflow/fleet-state/1"] = Field(default="edgeflow/fleet-state/1", alias="schema")
    phase: FleetPhase = "idle"
    release: str = ""
    sha256: str = ""
    previous: str = ""
    baseline: int = 0
    history: str = ""
    compared: int = 0
    turned: int = 0
    proven: int = 0
    proven_turned: int = 0
    reason: str = ""
    failed: tuple[str, ...] = ()

    @property
    def since(self) -> Position:
        """The latest result before that; what comes after it counts."""
        return Position(number=self.baseline, history=self.history)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """The first parts after a switch.

    Attributes:
        failures: of the undecided parts, those that the bundle could not score.
        compared: parts that the bundle before judged as well, beside.
        turned: of these, with another verdict outside the tolerance, or UNDECIDED by one of the two alone.
        ng_before: share of NG among the latest parts of the bundle before.
    """

    parts: int = 0
    undecided: int = 0
    failures: int = 0
    ng: int = 0
    compared: int = 0
    turned: int = 0
    ng_before: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Parts that a release's bundle judged beside the running one, before it is taken."""

    compared: int = 0
    turned: int = 0


@dataclass(frozen=True, kw_only=True)
class World:
    """All that a step depends on.

    Attributes:
        release: that the group is to run; None: none.
        running: SHA-256 of the bundle that the box would start with.
        previous: of the one before it; empty where there is none.
        revoked: bundles that no box may run.
        downloaded: the release's bundle lies beside the running one, whole.
        can_prove: the box file has a section ``shadow``.
        latest: the latest result.
    """

    release: Release | None
    running: str
    previous: str = ""
    revoked: frozenset[str] = frozenset()
    downloaded: bool = False
    can_prove: bool = False
    latest: Position = field(default_factory=Position)
    observed: Observed = field(default_factory=Observed)
    proof: Proof = field(default_factory=Proof)


def judge(observed: Observed, bounds: Bounds) -> tuple[Judgement, str]:
    """Return what becomes of a bundle after its first parts, and why."""
    if observed.failures >= bounds.failures:
        return "roll_back", f"{observed.failures} parts could not be scored (bound {bounds.failures})"
    if observed.undecided > bounds.undecided_share * bounds.parts:
        return "roll_back", (
            f"{observed.undecided} of {observed.parts} parts UNDECIDED (bound {bounds.undecided_share:.0%} "
            f"of {bounds.parts})"
        )
    if _too_many(observed.turned, observed.compared, bounds.disagreement_share, bounds.parts):
        return "roll_back", (
            f"{observed.turned} of {observed.compared} parts judged otherwise than by the bundle before "
            f"(bound {bounds.disagreement_share:.0%})"
        )
    allowed = (observed.ng_before + bounds.ng_share) * bounds.parts
    if observed.ng > allowed:
        return "paused", (
            f"{observed.ng} of {observed.parts} parts NG, {observed.ng_before:.0%} before (bound "
            f"{bounds.ng_share:.0%} more); look at the parts, then promote or revoke the release"
        )
    return ("good", "") if observed.parts >= bounds.parts else ("watching", "")


def next_step(state: AgentState, world: World) -> tuple[AgentState, Action]:
    """Return the state to keep on the disk, and then the action to take; the same again after a crash."""
    if state.phase == "rolling_back":
        return _rolling_back(state, world)
    if world.running in world.revoked:
        return _leave_revoked(state, world)
    release = world.release
    if release is None:
        return state.model_copy(update={"phase": "idle", "release": "", "reason": ""}), "none"
    if release.sha256 in world.revoked or release.id in state.failed:
        return state, "none"
    return _follow(state, world, release)


def _follow(state: AgentState, world: World, release: Release) -> tuple[AgentState, Action]:
    if release.id != state.release:
        return _begin(state, world, release)
    if world.running == release.sha256:
        return _runs(state, world, release)
    if state.phase in ("watching", "good", "paused"):
        reason = "the box was given another bundle by hand"
        return _failed(state, "rolled_back", reason), "none"
    return _towards(state, world, release)


def refused(state: AgentState, reason: str) -> AgentState:
    """Return the state after an action of the present release that can never succeed."""
    return _failed(state, "refused", reason)


def _begin(state: AgentState, world: World, release: Release) -> tuple[AgentState, Action]:
    begun = AgentState(
        phase="good" if world.running == release.sha256 else "downloading",
        release=release.id,
        sha256=release.sha256,
        reason="the box ran it already" if world.running == release.sha256 else "",
        failed=state.failed,
    )
    return (begun, "none") if begun.phase == "good" else _towards(begun, world, release)


def _towards(state: AgentState, world: World, release: Release) -> tuple[AgentState, Action]:
    """Not there yet: download, prove, switch."""
    if not world.downloaded:
        return state.model_copy(update={"phase": "downloading"}), "download"
    if release.bounds.prove_parts and world.can_prove and state.phase != "switching":
        bounds, proof = release.bounds, world.proof
        share, wanted = bounds.disagreement_share, bounds.prove_parts
        if _too_many(proof.turned, proof.compared, share, wanted):
            reason = f"{proof.turned} of {proof.compared} parts would turn (bound {share:.0%})"
            return _failed(state, "refused", f"{reason}; see 'edgeflow shadow report'"), "none"
        if proof.compared < wanted:
            return state.model_copy(update={"phase": "proving"}), "prove"
    if state.phase != "switching":
        proven = {"proven": world.proof.compared, "proven_turned": world.proof.turned}
        since = {"baseline": world.latest.number, "history": world.latest.history}
        state = state.model_copy(update={"phase": "switching", "previous": world.running, **since, **proven})
    return state, "switch"


def _runs(state: AgentState, world: World, release: Release) -> tuple[AgentState, Action]:
    """The box runs the release's bundle."""
    if state.phase in ("switching", "downloading", "proving"):
        return state.model_copy(update={"phase": "watching"}), "none"
    if state.phase not in ("watching", "paused"):
        return state, "none"
    judgement, reason = judge(world.observed, release.bounds)
    if judgement == "roll_back":
        return state.model_copy(update={"phase": "rolling_back", "reason": reason}), "roll_back"
    if state.phase == "paused":
        return state, "none"
    after = {}
    if judgement != "watching":
        observed = world.observed
        after = {
            "proven": state.proven + observed.compared,
            "proven_turned": state.proven_turned + observed.turned,
        }
    return state.model_copy(update={"phase": judgement, "reason": reason, **after}), "none"


def _rolling_back(state: AgentState, world: World) -> tuple[AgentState, Action]:
    if world.running == state.sha256:
        return state, "roll_back"
    return _failed(state, "rolled_back", state.reason), "none"


def _leave_revoked(state: AgentState, world: World) -> tuple[AgentState, Action]:
    release = world.release
    newer = release is not None and release.id not in state.failed and release.sha256 not in world.revoked
    if newer and release is not None and release.sha256 != world.previous:
        begun = state if state.release == release.id else _begin(state, world, release)[0]
        return _towards(begun, world, release)
    if not world.previous or world.previous in world.revoked:
        reason = "the bundle that runs is revoked, and there is no permitted one to go back to; publish one"
        return state.model_copy(update={"phase": "refused", "reason": reason}), "none"
    leaving = AgentState(
        phase="rolling_back",
        release=state.release,
        sha256=world.running,
        reason="the release was revoked",
        failed=state.failed,
    )
    return leaving, "roll_back"


def _failed(state: AgentState, phase: FleetPhase, reason: str) -> AgentState:
    failed = tuple(dict.fromkeys([*state.failed, state.release]))[-100:]
    return state.model_copy(update={"phase": phase, "reason": reason, "failed": failed})


def _too_many(turned: int, compared: int, share: float, wanted: int) -> bool:
    """True where the share is surely over its bound; a few parts alone do not tell."""
    return turned > share * max(compared, wanted // _FEW, 1)
