"""Boxes of a fleet: real boxes, each with its agent, whose process is killed after any time."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from edgeflow.bundles.bundle import Bundle
from edgeflow.config.box import BoxConfig, load_config
from edgeflow.contracts.message_parts.fleet_status import FleetStatus
from edgeflow.contracts.messages import from_json
from edgeflow.errors import EdgeflowError
from edgeflow.fleet.agent import FleetAgent, require_fleet
from edgeflow.fleet.statuses import StatusSink
from edgeflow.fleet.steps import AgentState
from edgeflow.security.keys import trusted_keys
from simulators.fleet_repository import Publisher
from simulators.small_bundle import SIDE, VIEWS

__all__ = ["PARTS", "FleetBox", "broker", "write_parts"]

PARTS = 8
_ENDS = ("good", "paused", "rolled_back", "refused", "idle")
_LOOKS = 400
_LOOK_S = 0.1
_STARTS_S = 180.0


def write_parts(folder: Path, count: int = 20) -> Path:
    """Write recorded parts with one black pixel in each view."""
    rng = np.random.default_rng(3)
    for number in range(count):
        for view in VIEWS:
            image = rng.integers(60, 255, (SIDE, SIDE, 3), dtype=np.uint8)
            image[0, 0] = 0
            path = folder / f"p{number}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return folder


@dataclass(kw_only=True)
class FleetBox:
    """One box of a group, and its agent in a process of its own.

    Attributes:
        permitted: versions that its bundle may have just now.
    """

    folder: Path
    group: str
    publisher: Publisher
    permitted: set[int]
    kills: int = 0
    broken: int = 0
    killed_in: set[str] = field(default_factory=set)

    def write(self, name: str, *, parts: Path, repository: str, port: int) -> None:
        """Write its box file, bundle, link and first root."""
        bundles = self.folder / "bundles"
        bundles.mkdir(parents=True)
        (bundles / "first.bundle").write_bytes(self.publisher.bundle(1).read_bytes())
        (bundles / "current.bundle").symlink_to("first.bundle")
        (self.folder / "root.json").write_bytes(self.publisher.first_root.read_bytes())
        document = {
            "station": {"site": "plant", "line": self.group, "station": name},
            "bundle": "bundles/current.bundle",
            "trigger": {"source": "interval", "period_ms": 500, "timeout_ms": 2000},
            "cameras": {
                view: {"kind": "replay", "parts": str(parts), "loop": True} for view in VIEWS
            },
            "sync": {"max_skew_ms": 500},
            "decision": {"deadline_ms": 5000},
            "runtime": {"backend": "onnxruntime", "precision": "fp32", "threads": 1},
            "mqtt": {"host": "127.0.0.1", "port": port},
            "outbox": {"path": "outbox.db", "confirm": "broker"},
            "views": {"at_start": "off", "watch": False},
            "trust": {"keys": [str(self.publisher.signer)], "installed": "installed.json"},
            "fleet": {
                "repository": repository, "root": "root.json", "group": self.group, "every_s": 1,
            },
        }  # fmt: skip
        (self.folder / "box.yaml").write_text(yaml.safe_dump(document))

    @property
    def config(self) -> BoxConfig:
        return load_config(self.folder / "box.yaml")

    @contextmanager
    def running(self) -> Iterator[Callable[[], None]]:
        """The box itself; yields what waits for its first part."""
        command = [sys.executable, "-m", "edgeflow.cli", "run", str(self.folder / "box.yaml"), "--json"]
        with (
            (self.folder / "box.log").open("w") as log,
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
        ):
            try:
                yield lambda: self._wait_for_a_part(process)
            finally:
                process.terminate()

    def _wait_for_a_part(self, process: subprocess.Popen[bytes]) -> None:
        end_s = time.monotonic() + _STARTS_S
        while "result_id" not in (self.folder / "box.log").read_text():
            if process.poll() is not None or time.monotonic() > end_s:
                raise RuntimeError((self.folder / "box.log").read_text()[-2000:])
            time.sleep(0.1)

    def agent(self, *, after_s: float | None) -> bool:
        """Run its agent until it has nothing more to do; True where it was killed after a time."""
        pid = os.fork()
        if pid == 0:
            os._exit(self._follow())
        killed = False
        if after_s is not None:
            time.sleep(after_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
        _, code = os.waitpid(pid, 0)
        killed = killed and os.WIFSIGNALED(code)
        self.kills += killed
        if killed and (self.folder / "fleet" / "state.json").exists():
            self.killed_in.add(str(self._state().phase))
        self.broken += not self.is_whole()
        return killed

    def look(self) -> FleetStatus | None:
        """One look in this process; None where it failed."""
        config = self.config
        try:
            return FleetAgent(config=config, fleet=require_fleet(config)).look()
        except EdgeflowError:
            return None

    def is_whole(self) -> bool:
        """True if the box would start with a whole, permitted bundle, and the state can be read."""
        try:
            with Bundle.open(
                self.folder / "bundles" / "current.bundle", trusted=trusted_keys([self.publisher.signer])
            ) as bundle:
                good = bundle.manifest.version in self.permitted
            if (self.folder / "fleet" / "state.json").exists():
                self._state()
        except (OSError, ValueError, EdgeflowError):
            return False
        return good

    def _state(self) -> AgentState:
        return AgentState.model_validate_json((self.folder / "fleet" / "state.json").read_bytes())

    @property
    def version(self) -> int:
        with Bundle.open(self.folder / "bundles" / "current.bundle") as bundle:
            return bundle.manifest.version

    @property
    def status(self) -> FleetStatus:
        return from_json(FleetStatus, (self.folder / "fleet" / "status.json").read_bytes())

    def _follow(self) -> int:
        try:
            config = self.config
            sink = StatusSink(config=config)
            agent = FleetAgent(config=config, fleet=require_fleet(config), tell=sink.tell)
            for _ in range(_LOOKS):
                status = agent.look()
                if (
                    status.phase in ("good", "paused", "rolled_back", "refused", "idle")
                    and not status.problem
                ):
                    return 0
                time.sleep(_LOOK_S)
        except BaseException:  # noqa: BLE001 - of a process that must not return
            (self.folder / "agent.log").write_text(traceback.format_exc())
        return 1


def _wait_for_port(port: int) -> None:
    end_s = time.monotonic() + _STARTS_S
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        if time.monotonic() > end_s:
            raise RuntimeError(f"nothing listens at port {port}")
        time.sleep(0.05)


@contextmanager
def broker(folder: Path, port: int) -> Iterator[None]:
    """A broker without persistence."""
    (folder / "broker.conf").write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\nuser root\n")
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    with subprocess.Popen(
        ["mosquitto", "-c", str(folder / "broker.conf")],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PATH": path},
    ) as process:
        try:
            _wait_for_port(port)
            yield
        finally:
            process.terminate()
