"""The agent of a box: looks at the repository, takes the next step, and says how far it is."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

from edgeflow.clock import utc_now, utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.config.updates.fleet import FleetConfig
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.errors import (
    AccuracyError,
    EdgeflowError,
    IntegrityError,
    ParityError,
    StorageError,
    UsageError,
)
from edgeflow.fleet.box import Box
from edgeflow.fleet.box_files.agent import BoxFileAgent
from edgeflow.fleet.box_files.place import BoxFilePlace
from edgeflow.fleet.client import FleetClient, Followed
from edgeflow.fleet.rollout import Release, wanted_release
from edgeflow.fleet.state_file import read_state, write_state
from edgeflow.fleet.steps import Action, AgentState, Observed, Proof, World, next_step, refused

__all__ = ["FleetAgent", "require_fleet"]

logger = logging.getLogger(__name__)

STATE_FILE, STATUS_FILE = "state.json", "status.json"
_PERMANENT = (IntegrityError, ParityError, AccuracyError)
_BUSY_S = 5.0
_BUSY = ("proving", "switching", "watching", "rolling_back")
_MOST_STEPS = 8


class _EndedError(Exception):
    """The agent is to end."""


@dataclass(kw_only=True)
class FleetAgent:
    """Follows the repository for one box.

    Attributes:
        tell: takes each status that differs from the one before.
        end: set where the agent is to end.
        clock: aware, UTC.
        place: of the box file; None: the fleet brings none.
    """

    config: BoxConfig
    fleet: FleetConfig
    tell: Callable[[FleetStatus], None] = lambda _: None
    end: threading.Event = field(default_factory=threading.Event)
    clock: Callable[[], datetime] = utc_now
    place: BoxFilePlace | None = None

    def __post_init__(self) -> None:
        self.box = Box(config=self.config)
        self._client = FleetClient(self.fleet, self.config.fleet_path, self._turn)
        self._state = read_state(self.config.fleet_path / STATE_FILE, AgentState)
        self._box_file = None if self.place is None else self._made(self.place)
        self._followed: Followed | None = None
        self._seen_at: str | None = None
        self._problem = ""
        self._told: FleetStatus | None = None
        self._world: World | None = None

    @property
    def pause_s(self) -> float:
        """Seconds until the next look: few while parts are watched."""
        changing = self._box_file is not None and self._box_file.under_way
        busy = changing or self._state.phase in _BUSY
        return min(self.fleet.every_s, _BUSY_S) if busy else self.fleet.every_s

    def look(self) -> FleetStatus:
        """Look at the repository once, and take every step that is due; never raises for a failure there."""
        try:
            self._problem = ""
            self._look()
            self._take_steps()
        except _EndedError:
            pass
        except EdgeflowError as error:
            self._problem = "; ".join([error.message, *error.problems])
            logger.warning("fleet: %s", self._problem)
        except OSError as error:
            self._problem = f"{error.filename}: {error.strerror}; check space and rights"
            logger.warning("fleet: %s", self._problem)
        return self._publish()

    def _take_steps(self) -> None:
        """Either the box file or the bundle changes, never both: what the parts say is about one of them."""
        box_file = self._box_file
        if box_file is not None and (box_file.under_way or self._state.phase not in _BUSY):
            box_file.step()
        if box_file is not None and box_file.under_way:
            return
        for _ in range(_MOST_STEPS):
            if not self._step():
                break

    def _made(self, place: BoxFilePlace) -> BoxFileAgent:
        return BoxFileAgent(
            config=self.config, place=place, box=self.box, client=self._client, tell=self._publish
        )

    def _look(self) -> None:
        """Read the repository; without it, the last roll-out still tells what to watch."""
        try:
            self._followed = self._client.look(self.clock())
            self._seen_at = utc_text()
        except EdgeflowError as error:
            self._problem = "; ".join([error.message, *error.problems])
            logger.warning("fleet: %s", self._problem)

    def _step(self) -> bool:
        """Take one step; return True if another one may follow at once."""
        if self._followed is None:
            return False
        rollout = self._followed.rollout
        release = wanted_release(rollout, self.fleet.group)
        self._world = world = self._seen(release, frozenset(rollout.revoked))
        state, action = next_step(self._state, world)
        changed = state != self._state
        self._keep(state)
        self._publish()
        if action == "none":
            self._tidy(release)
            return changed
        return self._act(action, release)

    def _act(self, action: Action, release: Release | None) -> bool:
        """Carry out an action; one that can never succeed ends its release on this box."""
        try:
            if action == "roll_back":
                self.box.roll_back(self._state.sha256)
                self.box.shadow(None)
            elif release is not None:
                self._towards(action, release)
        except _PERMANENT as error:
            if action == "roll_back":
                raise
            reason = "; ".join([error.message, *error.problems])
            logger.warning("fleet: %s: %s", self._state.release, reason)
            self._keep(refused(self._state, reason))
            self._publish()
            return False
        return action != "prove"

    def _towards(self, action: Action, release: Release) -> None:
        if action == "download":
            if self._problem:
                raise StorageError(self._problem)
            self.box.note_brought(release)
            try:
                self._client.download(release, self.box.place(release))
            except IntegrityError as error:  # of the repository, and not of the release: it may be mended
                raise StorageError(error.message) from error
            self.box.admit(release)
        elif action == "prove":
            self.box.shadow(self.box.place(release))
        else:
            self.box.admit(release)
            self.box.switch(release)
            revoked = self._followed.rollout.revoked if self._followed else ()
            if self.box.previous() not in revoked:
                self.box.shadow(self.box.previous_path())  # both judge the first parts

    def _seen(self, release: Release | None, revoked: frozenset[str]) -> World:
        state, box = self._state, self.box
        running, previous = box.running(), box.previous()
        observed, proof, can_prove = Observed(), Proof(), self.box.can_prove
        if release is not None and running == release.sha256 and state.phase in ("watching", "paused"):
            observed = box.observed(running, state.since, release.bounds.parts, state.previous)
            both = box.proof(state.previous, running)
            observed = Observed(
                **{
                    **observed.__dict__,
                    "compared": max(0, both.compared - state.compared),
                    "turned": max(0, both.turned - state.turned),
                }
            )
        elif release is not None:
            proof = box.proof(release.sha256, running)
        return World(
            release=release,
            running=running,
            previous=previous,
            revoked=revoked,
            downloaded=release is not None and box.has(release),
            can_prove=can_prove,
            latest=box.latest(),
            observed=observed,
            proof=proof,
        )

    def _tidy(self, release: Release | None) -> None:
        if self._state.phase in ("idle", "good", "rolled_back", "refused"):
            self.box.shadow(None)
            self.box.tidy({release.id} if release is not None else set())

    def _turn(self) -> None:
        if self.end.is_set():
            raise _EndedError

    def _publish(self) -> FleetStatus:
        """Tell the status where it has changed, and keep it in a file."""
        status, state = self._status(), self._state
        same = self._told is not None and status.model_copy(update={"at": self._told.at}) == self._told
        if not same:
            self._told = status
            logger.info("fleet: %s %s %s %s", state.phase, state.release, state.reason, self._problem)
            with suppress(StorageError):  # it is told over MQTT nevertheless
                write_state(self.config.fleet_path / STATUS_FILE, status)
            self.tell(status)
        return status

    def _status(self) -> FleetStatus:
        state, world, followed = self._state, self._world, self._followed
        release = world.release if world else None
        parts, of_parts = 0, 0
        if world is not None and release is not None and state.release == release.id:
            if state.phase == "proving":
                parts, of_parts = world.proof.compared, release.bounds.prove_parts
            elif state.phase in ("watching", "paused"):
                parts, of_parts = world.observed.parts, release.bounds.parts
        return FleetStatus(
            box=self.config.device_name,
            group=self.fleet.group,
            phase=state.phase,
            release=state.release or None,
            reason=state.reason,
            bundle_sha256=self._running(),
            parts=parts,
            of_parts=of_parts,
            compared=state.proven,
            turned=state.proven_turned,
            box_file=self._box_file.status() if self._box_file is not None else None,
            problem=self._problem,
            repository_version=followed.version if followed else 0,
            seen_at=self._seen_at if self._problem else None,
            at=utc_text(),
        )

    def _running(self) -> str | None:
        try:
            return self.box.running()
        except EdgeflowError:
            return None

    def _keep(self, state: AgentState) -> None:
        """On the disk before the action: after a crash the same step follows."""
        if state.phase == "switching" != self._state.phase:
            both = self.box.proof(state.previous, state.sha256)
            state = state.model_copy(update={"compared": both.compared, "turned": both.turned})
        if state != self._state:
            write_state(self.config.fleet_path / STATE_FILE, state)
            self._state = state


def require_fleet(config: BoxConfig) -> FleetConfig:
    """Return the section ``fleet``.

    Raises:
        UsageError: there is none.
    """
    if config.fleet is None:
        raise UsageError("the box file has no section 'fleet'; see docs/how-to/fleet.md")
    return config.fleet
