"""Boxes of a fleet: real boxes, each with its agent, whose process is killed after any time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
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
from edgeflow.fleet.box import Box
from edgeflow.fleet.box_files.steps import BoxFileState
from edgeflow.fleet.follow import Follower
from edgeflow.fleet.state_file import read_state
from edgeflow.fleet.steps import AgentState
from edgeflow.security.keys import trusted_keys
from simulators.fleet_repository import Publisher
from simulators.small_bundle import SIDE, VIEWS

__all__ = ["PARTS", "FleetBox", "Supervisor", "broker", "wait_for_a_part", "write_parts"]

PARTS = 8
_ENDS = ("good", "paused", "rolled_back", "refused", "idle")
_AGENT_S = 240.0  # a candidate in the shadow waits for a processor that nobody else wants
_LOOK_S = 0.1
_STARTS_S = 180.0
_RESTART_S = 2.0  # systemd's unit has five seconds


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
        end: lets the box end, without waiting for it.
        permitted_files: SHA-256 of the box files that it may have; empty: only the one that it has.
    """

    folder: Path
    group: str
    publisher: Publisher
    permitted: set[int]
    permitted_files: set[str] = field(default_factory=set)
    kills: int = 0
    broken: int = 0
    killed_in: set[str] = field(default_factory=set)
    end: Callable[[], None] = lambda: None

    def write(self, name: str, *, parts: Path, repository: str, port: int, shadow: bool = False) -> None:
        """Write its box file, bundle, link and first root."""
        bundles = self.folder / "bundles"
        bundles.mkdir(parents=True)
        (bundles / "first.bundle").write_bytes(self.publisher.bundle(1).read_bytes())
        (bundles / "current.bundle").symlink_to("first.bundle")
        (self.folder / "root.json").write_bytes(self.publisher.first_root.read_bytes())
        document = {
            "station": {"site": "plant", "line": self.group, "station": name},
            "bundle": "bundles/current.bundle",
            "trigger": {"source": "interval", "period_ms": 200, "timeout_ms": 2000},
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
        if shadow:
            document["shadow"] = {"bundle": "bundles/next.bundle"}
        (self.folder / "box.yaml").write_text(yaml.safe_dump(document))

    @property
    def config(self) -> BoxConfig:
        return load_config(self.folder / "box.yaml")

    @property
    def file(self) -> Path:
        return self.folder / "box.yaml"

    def runs_file(self) -> str:
        """SHA-256 of the box file that the running box has read; empty where none answers within a minute."""
        end_s = time.monotonic() + _STARTS_S
        while time.monotonic() < end_s:
            started = Box(config=self.config).started()
            if started is not None:
                return started.sha256
            time.sleep(0.2)
        return ""

    @contextmanager
    def running(self, *, supervised: bool = False) -> Iterator[Callable[[], None]]:
        """The box itself; yields what waits for its first part.

        Args:
            supervised: it is started again whenever it ends, and told so, as by systemd.
        """
        if supervised:
            with Supervisor(self.folder) as wait:
                yield wait
            return
        command = [sys.executable, "-m", "edgeflow.cli", "run", str(self.folder / "box.yaml"), "--json"]
        with (
            (self.folder / "box.log").open("w") as log,
            subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT) as process,
        ):
            self.end = process.terminate
            try:
                yield lambda: self._wait_for_a_part(process)
            finally:
                process.terminate()

    def _wait_for_a_part(self, process: subprocess.Popen[bytes]) -> None:
        wait_for_a_part(self.folder / "box.log", lambda: process.poll() is not None)

    def agent(self, *, after_s: float | None, in_phase: str | None = None) -> bool:
        """Run its agent until it has nothing more to do; True where it was killed.

        Args:
            after_s: then it is killed; None: never.
            in_phase: of the bundle or ``box file NAME``; the time counts from its first moment there.
        """
        pid = os.fork()
        if pid == 0:
            os._exit(self._follow())
        killed = False
        if after_s is not None:
            self._wait_for_phase(in_phase, pid)
            time.sleep(after_s)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                killed = True
        _, code = os.waitpid(pid, 0)
        killed = killed and os.WIFSIGNALED(code)
        self.kills += killed
        if killed:
            self.killed_in.add(self._phases()[1 if self.permitted_files else 0])
        self.broken += not self.is_whole()
        return killed

    def _phases(self) -> tuple[str, str]:
        """Phases of the bundle and of the box file, as the agent has written them."""
        folder = self.folder / "fleet"
        found = read_state(folder / "state.json", AgentState).phase
        return found, f"box file {read_state(folder / 'box-file.json', BoxFileState).phase}"

    def _wait_for_phase(self, phase: str | None, pid: int) -> None:
        """Wait until the agent is there, or has ended."""
        while phase is not None and phase not in self._phases():
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return
            time.sleep(0.002)

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
            self._phases()
            if self.permitted_files:
                load_config(self.file)
                good = good and hashlib.sha256(self.file.read_bytes()).hexdigest() in self.permitted_files
        except (OSError, ValueError, EdgeflowError):
            return False
        return good

    @property
    def version(self) -> int:
        with Bundle.open(self.folder / "bundles" / "current.bundle") as bundle:
            return bundle.manifest.version

    @property
    def status(self) -> FleetStatus:
        return from_json(FleetStatus, (self.folder / "fleet" / "status.json").read_bytes())

    def _follow(self) -> int:
        try:
            follower = Follower(path=self.file)
            end_s = time.monotonic() + _AGENT_S
            while time.monotonic() < end_s:
                status = follower.look()
                box_file = status.box_file.phase if status.box_file is not None else "good"
                if status.phase in _ENDS and box_file in _ENDS and not status.problem:
                    return 0
                time.sleep(_LOOK_S)
        except BaseException:  # noqa: BLE001 - of a process that must not return
            (self.folder / "agent.log").write_text(traceback.format_exc())
        return 1


class Supervisor:
    """Starts a box again whenever it ends, with the socket of a service manager in its environment."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._end = folder, threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._run, name="supervisor")

    def __enter__(self) -> Callable[[], None]:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._name = f"@edgeflow-{os.getpid()}-{self._folder.name}"
        self._socket.bind("\0" + self._name[1:])
        self._thread.start()
        return lambda: wait_for_a_part(self._folder / "box.log", self._end.is_set)

    def __exit__(self, *_: object) -> None:
        self._end.set()
        if self._process is not None:
            self._process.terminate()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        command = [sys.executable, "-m", "edgeflow.cli", "run", str(self._folder / "box.yaml"), "--json"]
        environment = {**os.environ, "NOTIFY_SOCKET": self._name}
        with (self._folder / "box.log").open("w") as log:
            while not self._end.is_set():
                with subprocess.Popen(
                    command, stdout=log, stderr=subprocess.STDOUT, env=environment
                ) as process:
                    self._process = process
                    if self._end.is_set():
                        process.terminate()
                    while process.poll() is None:
                        self._hear()
                self._end.wait(_RESTART_S)

    def _hear(self) -> None:
        """Take what the box says, so that it never waits for a full socket."""
        self._socket.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            self._socket.recv(4096)


def wait_for_a_part(log: Path, ended: Callable[[], bool]) -> None:
    """Wait for a box's first result in its log."""
    end_s = time.monotonic() + _STARTS_S
    while not log.exists() or "result_id" not in log.read_text():
        if ended() or time.monotonic() > end_s:
            raise RuntimeError(log.read_text()[-2000:])
        time.sleep(0.1)


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
