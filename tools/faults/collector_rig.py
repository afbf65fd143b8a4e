"""Boxes, broker, database and collectors to break, each killed by its process id."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import paho.mqtt.client as paho
import psycopg
import yaml
from paho.mqtt.enums import CallbackAPIVersion

from faults.rig import TOOLS, Site, wait_for
from simulators.postgresql import Postgresql

__all__ = ["CollectorSite"]

DRAIN_S = 90.0
START_S = 240.0


@dataclass(kw_only=True)
class CollectorSite:
    """One plant: Mosquitto, PostgreSQL, boxes and two collectors of one group."""

    folder: Path
    boxes: int
    broker: Site = field(init=False)
    database: Postgresql = field(init=False)
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)
    collectors: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _ports: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.broker = Site(folder=self.folder, host="127.0.0.1", outbox=self.folder / "none.db")
        self.database = Postgresql(self.folder / "pg", "track_commit_timestamp = on")

    def start(self) -> None:
        """Start broker and database, empty."""
        self.broker.start_broker()
        self.database.start()

    def start_collector(self, name: str) -> None:
        """A collector's own process."""
        file = self.folder / f"{name}.yaml"
        document = {
            "name": name,
            "mqtt": {"host": "127.0.0.1", "port": self.broker.port},
            "store": {"kind": "postgresql", "connection": self.database.connection},
            "metrics": {"listen": f"127.0.0.1:{self._port(name)}"},
        }
        file.write_text(yaml.safe_dump(document))
        with (self.folder / f"{name}.log").open("ab") as log:
            self.collectors[name] = subprocess.Popen(
                [sys.executable, "-m", "edgeflow.cli", "collect", str(file)],
                stdout=log, stderr=log, env=_environment(),
            )  # fmt: skip

    def wait_for_collectors(self) -> None:
        """Return once all of them have subscribed to the results."""
        if not wait_for(
            lambda: all(self._figure(name, "collecting") == 1 for name in self.collectors), START_S
        ):
            raise SystemExit(f"a collector does not start; see {self.folder}")

    def kill_collector(self, name: str) -> None:
        """SIGKILL."""
        process = self.collectors[name]
        process.kill()
        process.wait()

    def start_boxes(self, *, rate_hz: float, count: int) -> None:
        """Each box makes ``count`` results at ``rate_hz``, with the real outbox, delivery and link."""
        plans = [
            {
                "host": "127.0.0.1",
                "port": self.broker.port,
                "outbox": str(self.folder / f"outbox{number}.db"),
                "limits": {},
                "made": str(self.folder / f"made{number}.txt"),
                "session": f"b{number:03d}",
                "rate_hz": rate_hz,
                "count": count,
                "decisions": False,  # they take half of a box's time, and no part in this
                "mqtt": {"root": f"edgeflow/v1/plant1/l3/s{number}", "client_id": f"box{number}"},
            }
            for number in range(1, self.boxes + 1)
        ]
        command = [sys.executable, str(TOOLS / "faults" / "forked_boxes.py"), json.dumps(plans)]
        with (self.folder / "boxes.log").open("ab") as log:
            self.running.append(
                subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log, env=_environment())
            )

    def wait_for_first_results(self) -> None:
        """Return once every box has made results."""
        made = [self.folder / f"made{number}.txt" for number in range(1, self.boxes + 1)]
        if not wait_for(lambda: all(file.exists() and file.stat().st_size for file in made), START_S):
            raise SystemExit(f"a box does not start; see {self.folder}")
        time.sleep(2)

    def wait_for_boxes(self) -> None:
        """Return once every box has connected to a broker that was started anew."""
        online: set[str] = set()

        def heard(_client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
            if message.payload == b"online":
                online.add(message.topic)

        client = paho.Client(CallbackAPIVersion.VERSION2)
        client.on_message = heard
        client.connect("127.0.0.1", self.broker.port)
        client.subscribe("edgeflow/v1/plant1/l3/+/availability", 1)
        client.loop_start()
        try:
            if not wait_for(lambda: len(online) == self.boxes, START_S):
                raise SystemExit(f"only {len(online)} of {self.boxes} boxes connect again")
        finally:
            client.disconnect()
            client.loop_stop()

    def end_boxes(self) -> None:
        """Let boxes make no more; return once each has ended, all delivered or its time over."""
        deadline_s = time.monotonic() + DRAIN_S
        for process in self.running:
            process.send_signal(signal.SIGUSR1)
            process.wait(max(1.0, deadline_s - time.monotonic()))

    def made_ids(self) -> list[str]:
        """Results that were on the boxes' disks."""
        files = sorted(self.folder.glob("made*.txt"))
        return [name for file in files for name in file.read_text().split()]

    def committed(self) -> list[tuple[str, datetime, datetime]]:
        """Result id, moment of the decision, and moment of the commit by the database's own clock."""
        query = "SELECT result_id, decided_at, pg_xact_commit_timestamp(xmin) FROM edgeflow.results"
        with psycopg.connect(self.database.connection) as connection:
            return connection.execute(query).fetchall()

    def set_aside(self) -> int:
        """Number of messages that were set aside."""
        with psycopg.connect(self.database.connection) as connection:
            row = connection.execute("SELECT count(*) FROM edgeflow.set_aside").fetchone()
        return int(row[0]) if row else 0

    def counts(self, names: Sequence[str], seconds: float) -> dict[str, tuple[float, float]]:
        """New results and processor seconds of each collector within a time, by its own metrics."""
        before = {name: (self._new_results(name), self.processor_s(name)) for name in names}
        time.sleep(seconds)
        return {
            name: (self._new_results(name) - count, self.processor_s(name) - spent_s)
            for name, (count, spent_s) in before.items()
        }

    def _new_results(self, name: str) -> float:
        return self._figure(name, 'results_total{kind="new"}')

    def _figure(self, name: str, figure: str) -> float:
        """A figure of a collector's metrics; -1 while it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._ports[name]}/metrics", timeout=5) as page:
                text = page.read().decode()
        except OSError:
            return -1.0
        found = re.search(rf"^edgeflow_collector_{re.escape(figure)} (\S+)$", text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    def _port(self, name: str) -> int:
        if name not in self._ports:
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self._ports[name] = probe.getsockname()[1]
        return self._ports[name]

    def processor_s(self, name: str) -> float:
        """Processor time of a collector so far."""
        parts = Path(f"/proc/{self.collectors[name].pid}/stat").read_text().rpartition(")")[2].split()
        return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Whatever still runs."""
        for boxes in self.running:
            boxes.terminate()  # it kills its boxes
        for process in (*self.running, *self.collectors.values()):
            if process in self.collectors.values():
                process.kill()
            process.wait()
        self.database.kill()
        self.broker.kill_broker()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(TOOLS), *filter(None, sys.path)])}
