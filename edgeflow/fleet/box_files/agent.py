"""The agent of a box for its box file: takes the next step, and says how far it is."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.message_parts.fleet_status import BoxFileStatus
from edgeflow.errors import EdgeflowError, HardwareError, IntegrityError, StorageError, UsageError
from edgeflow.fleet.box import Box
from edgeflow.fleet.box_files.place import BoxFilePlace
from edgeflow.fleet.box_files.publication import BoxFilePublication, station_name
from edgeflow.fleet.box_files.steps import (
    BoxFileAction,
    BoxFileState,
    BoxFileWorld,
    checked,
    next_step,
    turned_back,
)
from edgeflow.fleet.client import FleetClient
from edgeflow.fleet.state_file import read_state, write_state
from edgeflow.history.records import Position

__all__ = ["BoxFileAgent"]

logger = logging.getLogger(__name__)

STATE_FILE = "box-file.json"
_MOST_STEPS = 8


def _since_boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(kw_only=True)
class BoxFileAgent:
    """Follows the repository's file for one station.

    Attributes:
        clock_s: that only a boot sets back.
        tell: called after each change of the phase.
    """

    config: BoxConfig
    place: BoxFilePlace
    box: Box
    client: FleetClient
    clock_s: Callable[[], float] = _since_boot_s
    tell: Callable[[], object] = lambda: None
    _state: BoxFileState = field(init=False)
    _parts: int = 0

    def __post_init__(self) -> None:
        self._path: Path = self.config.fleet_path / STATE_FILE
        self._state = read_state(self._path, BoxFileState)

    @property
    def under_way(self) -> bool:
        """True while a change may still be taken back."""
        return self._state.under_way

    def step(self) -> None:
        """Take every step that is due.

        Raises:
            EdgeflowError: it cannot be taken now; it is tried again.
        """
        for _ in range(_MOST_STEPS):
            state, action = next_step(self._state, self._world())
            changed = state.phase != self._state.phase
            self._keep(state)
            if action != "none":
                self._act(action)
            elif not changed:
                return
            if action == "restart":  # it takes its time
                return

    def status(self) -> BoxFileStatus | None:
        """Return what is told of it; None where the repository never had a file for this station."""
        state = self._state
        if not state.id:
            return None
        watching = state.phase == "watching"
        return BoxFileStatus(
            id=state.id,
            phase=state.phase,
            reason=state.reason,
            parts=self._parts if watching else 0,
            of_parts=state.parts if watching else 0,
        )

    def _world(self) -> BoxFileWorld:
        state, box = self._state, self.box
        parts, undecided = 0, 0
        if state.phase == "watching":
            parts, undecided = box.first_parts(state.since, state.parts)
            self._parts = parts
        return BoxFileWorld(
            wanted=self._wanted(),
            present=self.place.present(),
            running=box.started() if state.under_way else None,
            now_s=self.clock_s(),
            latest=box.latest() if state.phase == "starting" else Position(),
            parts=parts,
            undecided=undecided,
        )

    def _wanted(self) -> BoxFilePublication | None:
        try:
            return self.client.box_file(station_name(self.config))
        except EdgeflowError:
            if self._state.under_way:  # the way back has to stay open
                return None
            raise

    def _act(self, action: BoxFileAction) -> None:
        state = self._state
        if action == "check":
            self._check()
        elif action == "place":
            try:
                self.place.put(state.sha256, state.previous)
            except IntegrityError as error:
                self._refuse(error)
        elif action == "put_back":
            self.place.put_back(state.previous)
        else:
            self._restart()

    def _check(self) -> None:
        """Look at a file before anything of this box changes."""
        present, station = self.place.present(), station_name(self.config)
        try:
            data = self.client.read_box_file(station)
        except IntegrityError as error:  # of the repository, and not of the file: it may be mended
            raise StorageError(error.message) from error
        self.place.stage(data)
        try:
            problems = self.place.problems(self.config)
        except UsageError as error:
            self._refuse(error)
            return
        if problems:
            self._keep(turned_back(self._state, "refused", "; ".join(problems)))
            return
        self._keep(checked(self._state, present))

    def _restart(self) -> None:
        """Let the box begin anew; one that is on its way does not answer, and the time for it is bounded."""
        try:
            self.box.begin_anew()
        except HardwareError as error:
            logger.info("fleet: %s", error)
        except IntegrityError as error:
            if self._state.phase != "starting":
                raise
            reason = f"the box does not start with it: {error.message}"
            self._keep(self._state.model_copy(update={"phase": "rolling_back", "reason": reason}))

    def _refuse(self, error: EdgeflowError) -> None:
        reason = "; ".join([error.message, *error.problems])
        self._keep(turned_back(self._state, "refused", reason))

    def _keep(self, state: BoxFileState) -> None:
        """On the disk before the action: after a crash the same step follows."""
        if state == self._state:
            return
        write_state(self._path, state)
        moved = state.phase != self._state.phase
        self._state = state
        if moved:
            logger.info("fleet: box file %s: %s %s", state.id, state.phase, state.reason)
            self.tell()
