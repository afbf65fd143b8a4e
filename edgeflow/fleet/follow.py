"""The agent as a process: follows the repository with the box file as it is, also after that has changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from edgeflow.config.box import load_config
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.errors import EdgeflowError
from edgeflow.fleet.agent import FleetAgent, require_fleet
from edgeflow.fleet.box_files.place import BoxFilePlace
from edgeflow.fleet.statuses import StatusSink

__all__ = ["Follower"]

logger = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Follower:
    """Makes the agent anew where the box file is another one.

    Attributes:
        path: the box file.
        tell: takes each status that differs from the one before, beside the broker.
    """

    path: Path
    overrides: tuple[str, ...] = ()
    tell: Callable[[FleetStatus], None] = lambda _: None
    end: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._read = b""
        self._make()

    @property
    def pause_s(self) -> float:
        """Seconds until the next look."""
        return self.agent.pause_s

    def look(self) -> FleetStatus:
        """Look once, and take every step that is due; never raises for a failure of the repository."""
        try:
            self._make()
        except (EdgeflowError, OSError) as error:  # somebody edits it: the agent goes on as it was
            logger.warning("fleet: %s", error)
        status = self.agent.look()
        self.sink.again()
        return status

    def _make(self) -> None:
        read = self.path.read_bytes() if self.path.exists() else b""
        if read == self._read and read:
            return
        config = load_config(self.path, self.overrides)
        fleet = require_fleet(config)
        stick = fleet.repository if isinstance(fleet.repository, Path) else None
        sink = StatusSink(config=config, stick=stick)

        def tell(found: FleetStatus) -> None:
            self.tell(found)
            sink.tell(found)

        place = BoxFilePlace(path=self.path, overrides=self.overrides)
        self.agent = FleetAgent(config=config, fleet=fleet, tell=tell, end=self.end, place=place)
        self.sink, self.config, self._read = sink, config, read
