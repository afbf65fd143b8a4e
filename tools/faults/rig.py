"""A site to break: a broker, a box and a controller as processes of their own, in one folder."""

from __future__ import annotations

import getpass
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgeflow.delivery.store.aside import list_aside
from edgeflow.delivery.store.database_file import check_file, read_only

__all__ = ["ROOT", "Site", "site", "wait_for"]

ROOT = "edgeflow/v1/plant1/l3/s2"
TOOLS = Path(__file__).resolve().parents[1]
_START_S = 15.0


def wait_for(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Return True if a condition came to hold in time."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.02)
    return True


@dataclass(kw_only=True)
class Site:
    """Processes, files, and what they say; every process is ended by its own id."""

    folder: Path
    host: str = "127.0.0.1"
    port: int = 0
    outbox: Path = field(default=Path())
    limits: dict[str, float] = field(default_factory=dict)
    box_prefix: tuple[str, ...] = ()
    settings: str = ""
    _broker: subprocess.Popen[bytes] | None = None
    _starts: int = 0
    boxes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    controllers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def made(self) -> Path:
        """Ids of results, written by the box once they are on the disk."""
        return self.folder / "made.txt"

    @property
    def received(self) -> Path:
        """Results as the controller kept them."""
        return self.folder / "results.jsonl"

    def start_broker(self) -> None:
        """Mosquitto without persistence, as on a fresh machine."""
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if program is None:
            raise SystemExit("no mosquitto here; install it: sudo apt-get install mosquitto")
        if not self.port:
            with socket.socket() as probe:
                probe.bind((self.host, 0))
                self.port = probe.getsockname()[1]
        settings = self.folder / "mosquitto.conf"
        settings.write_text(
            f"listener {self.port} {self.host}\nallow_anonymous true\npersistence false\n"
            f"set_tcp_nodelay true\nmax_queued_messages 100000\nuser {getpass.getuser()}\n{self.settings}\n"
        )
        with (self.folder / "mosquitto.log").open("ab") as log:
            self._broker = subprocess.Popen([program, "-c", str(settings)], stdout=log, stderr=log)
        if not wait_for(self._answers, _START_S):
            raise SystemExit(f"mosquitto does not start, see {self.folder}/mosquitto.log")

    @property
    def broker_pid(self) -> int:
        """Process id of the broker."""
        if self._broker is None:
            raise RuntimeError("the broker does not run")
        return self._broker.pid

    def kill_broker(self) -> None:
        """SIGKILL."""
        if self._broker is not None:
            self._broker.kill()
            self._broker.wait()
            self._broker = None

    def reload_broker(self) -> None:
        """It reads its files again."""
        if self._broker is not None:
            self._broker.send_signal(signal.SIGHUP)

    def start_box(
        self,
        *,
        rate_hz: float,
        count: int,
        port: int = 0,
        options: tuple[str, ...] = (),
        mqtt: Mapping[str, object] | None = None,
    ) -> None:
        """A process with the box's real outbox, delivery and link that makes results at a rate."""
        self._starts += 1
        plan = {
            "host": self.host,
            "port": port or self.port,
            "outbox": str(self.outbox),
            "limits": self.limits,
            "made": str(self.made),
            "session": f"s{self._starts:04d}",
            "rate_hz": rate_hz,
            "count": count,
            "root": ROOT,
            "mqtt": dict(mqtt or {}),
        }
        command = [
            *self.box_prefix,
            sys.executable,
            str(TOOLS / "faults" / "synthetic_box.py"),
            json.dumps(plan),
            *options,
        ]
        with (self.folder / "box.log").open("ab") as log:
            self.boxes.append(
                subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, env=_environment())
            )

    def kill_box(self) -> None:
        """SIGKILL."""
        self.boxes[-1].kill()
        self.boxes[-1].wait()

    def start_controller(self) -> None:
        """The reference controller; a result counts as received once it is in its file."""
        url = f"mqtt://{self.host}:{self.port}"
        program = str(TOOLS / "line_controller.py")
        command = [sys.executable, program, url, "--root", ROOT, "--results", str(self.received), "-q"]
        self.controllers.append(subprocess.Popen(command, stdout=subprocess.PIPE, env=_environment()))

    def stop_controller(self) -> dict[str, Any]:
        """SIGTERM; what it says at the end."""
        process = self.controllers[-1]
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=20)
        found: dict[str, Any] = json.loads(said.splitlines()[-1])
        return found

    def box_said(self) -> str:
        """The log of all boxes so far."""
        return (self.folder / "box.log").read_text("utf-8", "replace")

    def made_ids(self) -> list[str]:
        """Results that were on the box's disk."""
        return self.made.read_text().split() if self.made.exists() else []

    def received_ids(self) -> list[str]:
        """Results that are in the controller's file."""
        return [record["result_id"] for record in self.received_records()]

    def received_records(self) -> list[dict[str, Any]]:
        """The same, whole."""
        if not self.received.exists():
            return []
        with self.received.open("rb") as lines:
            return [json.loads(line) for line in lines if line.endswith(b"\n")]

    def aside_ids(self) -> set[str]:
        """Results that are kept in the outbox and not sent."""
        with closing(read_only(self.outbox)) as connection:
            return {row.result_id for row in list_aside(connection)}

    def waiting(self) -> int:
        """Number of rows in the outbox."""
        try:
            connection = read_only(self.outbox)
        except sqlite3.Error:
            return 0
        count: int = connection.execute("SELECT COUNT(*) FROM results").fetchone()[0]
        connection.close()
        return count

    def outbox_is_sound(self) -> bool:
        """The integrity check."""
        try:
            check_file(self.outbox)
        except sqlite3.Error:
            return False
        return True

    def end(self) -> None:
        """Whatever still runs."""
        for process in (*self.boxes, *self.controllers):
            if process.poll() is None:
                process.kill()
            process.communicate()
        self.kill_broker()

    def _answers(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), timeout=1.0).close()
        except OSError:
            return False
        return True


@contextmanager
def site(
    folder: Path, *, controller: bool = True, host: str = "127.0.0.1", settings: str = ""
) -> Iterator[Site]:
    """A broker and a controller that run; the box is the fault's matter.

    Args:
        settings: more lines of the broker's configuration.
    """
    folder.mkdir(parents=True, exist_ok=True)
    made = Site(folder=folder, host=host, outbox=folder / "outbox.db", settings=settings)
    try:
        made.start_broker()
        if controller:
            made.start_controller()
        yield made
    finally:
        made.end()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOOLS), *filter(None, sys.path)])}
