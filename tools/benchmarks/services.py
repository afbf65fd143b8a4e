"""Decisions of a box with every service beside it, against the same box without, in many short turns.

PYTHONPATH=tools python -m benchmarks.services

Beside the one box: a candidate bundle in its shadow, an OPC UA server with a subscribed client (node-opcua),
a Modbus server that mbpoll asks, and a fleet agent that looks at a repository behind nginx. Both boxes see
the demo's parts; while one does, the other one and whatever belongs to it stand still.
"""

from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml
from rich.console import Console

from benchmarks.opcua import RUNS, opcua_client, opcua_server, prepare_opcua
from benchmarks.page import DEMO, cpu_s, results_of, running, write_box
from benchmarks.shadow import children, compared, stand
from benchmarks.trigger_to_decision import Turns, report_turns, stolen_s
from edgeflow.cli.terminal.tables import make_table, print_table
from faults.fleet_rig import broker
from simulators.fleet_repository import Publisher, nginx
from simulators.opcua_client import install_node_opcua

SERVICES = ("shadow", "opcua", "modbus", "fleet")
_READY_S = 900.0
_LOOK_S = 2.0  # between two looks of the fleet agent
_POLL_MS = 50


@dataclass(kw_only=True)
class Place:
    """A box, and the processes that belong to it.

    Attributes:
        services: process of each service; clients have names of their own.
        arrived_s: part's number → second at which an OPC UA client had it.
    """

    path: Path
    box: subprocess.Popen[str]
    results: queue.SimpleQueue[dict[str, Any]]
    services: dict[str, subprocess.Popen[Any]] = field(default_factory=dict)
    arrived_s: dict[int, float] = field(default_factory=dict)
    worked_s: dict[str, float] = field(default_factory=dict)

    def stand(self, *, still: bool) -> None:
        """Let all of it stand still, or go on.

        Raises:
            ClickException: a process has ended, so that the benchmark would measure less than it says.
        """
        ended = [name for name, process in self.services.items() if process.poll() is not None]
        if ended and still:
            raise click.ClickException(f"{', '.join(ended)}: ended; run it by hand at {self.path}")
        for process in (*self.services.values(), self.box):
            stand(process, still=still)

    def phase(self, settle_s: float, seconds: float) -> list[dict[str, Any]]:
        """Go on for a while; return the results of it but for its beginning."""
        self.stand(still=False)
        time.sleep(settle_s)
        before = self._processor_s()
        while not self.results.empty():
            self.results.get()
        time.sleep(seconds)
        found = []
        while not self.results.empty():
            found.append(self.results.get())
        for name, spent_s in self._processor_s().items():
            self.worked_s[name] = self.worked_s.get(name, 0.0) + spent_s - before.get(name, spent_s)
        self.stand(still=True)
        return found

    def _processor_s(self) -> dict[str, float]:
        own = {name: cpu_s(process.pid) for name, process in self.services.items()}
        candidates = {f"candidate {pid}": cpu_s(pid) for pid in children(self.box.pid)}
        return {"box": cpu_s(self.box.pid), **own, **candidates}


@click.command()
@click.option("--turns", type=int, default=20, show_default=True, help="Pairs of phases.")
@click.option("--seconds", type=float, default=5.0, show_default=True, help="Of each phase.")
@click.option("--settle", "settle_s", type=float, default=1.5, show_default=True)
@click.option("--period-ms", type=float, default=100.0, show_default=True)
@click.option(
    "--with",
    "chosen",
    multiple=True,
    type=click.Choice([*SERVICES, "nothing"]),
    help="Default: all; nothing: how far two boxes without services differ.",
)
@click.option("--json", "json_output", is_flag=True)
def main(
    turns: int,
    seconds: float,
    settle_s: float,
    period_ms: float,
    chosen: tuple[str, ...],
    *,
    json_output: bool,
) -> None:
    """Measure, print tables, and end with 1 where the bound is missed."""
    console = Console(stderr=json_output, highlight=False)
    wanted = [name for name in chosen or SERVICES if name != "nothing"]
    found = Turns()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        port = _free_port()
        stack.enter_context(broker(Path(folder), port))
        places = {
            name: _place(Path(folder) / name, port, period_ms, services, stack)
            for name, services in (("without", []), ("with", wanted))
        }
        for turn in range(turns):
            for name in sorted(places, reverse=bool(turn % 2)):
                before_s = stolen_s()
                results = places[name].phase(settle_s, seconds)
                found.add(results, stolen_s() - before_s, served=name == "with")
        served = places["with"]
        judged = compared(served.path) if "shadow" in wanted else None
    rows = report_turns(console, "services", found)
    _report_services(console, served, turns * seconds, judged)
    ways_ms = [
        1000 * (served.arrived_s[seq] - at) for seq, at in found.decided.items() if seq in served.arrived_s
    ]
    if ways_ms:
        way50, way99 = np.quantile(ways_ms, [0.5, 0.99])
        rows |= {"verdicts": len(ways_ms), "verdict_p50_ms": way50, "verdict_p99_ms": way99}
        console.print(
            f"from a decision to the OPC UA client, {len(ways_ms)} verdicts: p50 {way50:.1f} ms, p99 "
            f"{way99:.1f} ms"
        )
    if json_output:
        click.echo(json.dumps(rows))
    raise SystemExit(not rows["good"])


def _place(path: Path, port: int, period_ms: float, wanted: Sequence[str], stack: ExitStack) -> Place:
    """A running box that is warm, with its services, all of which stand still."""
    path.mkdir()
    box = write_box(path, period_ms)
    document = yaml.safe_load(box.read_text())
    document["station"]["station"] = path.name
    document["mqtt"] = {"host": "127.0.0.1", "port": port}
    document["outbox"] |= {"confirm": "broker"}
    sections: dict[str, Callable[[], dict[str, Any]]] = {
        "shadow": lambda: {"bundle": str(DEMO / "housing.bundle")},
        "opcua": lambda: {"listen": "127.0.0.1:0"},
        "modbus": lambda: {"listen": "127.0.0.1:0"},
        "fleet": lambda: _fleet(path, stack),
    }
    document |= {name: sections[name]() for name in wanted}
    if "fleet" in wanted:
        document |= {"bundle": str(path / "current.bundle"), "trust": {"installed": "installed.json"}}
    box.write_text(yaml.safe_dump(document))
    process = stack.enter_context(running("run", str(box), "--json"))
    place = Place(path=box, box=process, results=results_of(process))
    _wait(lambda: not place.results.empty(), "the box does not start")
    for name in wanted:
        if name != "shadow":
            place.services |= _started(name, place, stack)
    if "shadow" in wanted:
        _wait(lambda: compared(box) > 0, "its candidate is not ready", 5.0)
    time.sleep(3)
    place.stand(still=True)
    stack.callback(place.stand, still=False)  # first of all at the end: else they could not end
    return place


def _started(name: str, place: Place, stack: ExitStack) -> dict[str, subprocess.Popen[Any]]:
    """The processes of a service, which serves."""
    box = place.path
    if name == "fleet":
        return {name: stack.enter_context(running("fleet", "follow", str(box), "--json"))}
    if name == "modbus":
        server = stack.enter_context(running("modbus", str(box), "--json"))
        port = json.loads(server.stdout.readline() if server.stdout else "{}")["address"].rpartition(":")[2]
        return {name: server, **_mbpoll(port, stack)}
    prepare_opcua(box)
    server, address = stack.enter_context(opcua_server(box))
    client = stack.enter_context(opcua_client(install_node_opcua(RUNS), box, address, 3600, stream=True))
    threading.Thread(target=_listen, args=(client.stdout or (), place.arrived_s), daemon=True).start()
    return {name: server, "client of opcua": client}


def _mbpoll(port: str, stack: ExitStack) -> dict[str, subprocess.Popen[Any]]:
    if shutil.which("mbpoll") is None:
        raise click.ClickException("no mbpoll here; install it: apt-get install mbpoll")
    command = ["mbpoll", "-0", "-t", "3", "-r", "0", "-c", "20", "-l", str(_POLL_MS), "-p", port, "127.0.0.1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    stack.callback(process.kill)
    return {"client of modbus": process}


def _fleet(path: Path, stack: ExitStack) -> dict[str, Any]:
    """A repository behind nginx that has no release for the box; its agent wants a link to the bundle."""
    (path / "current.bundle").symlink_to(DEMO / "housing.bundle")
    publisher = Publisher(root=path / "office")
    url = stack.enter_context(nginx(publisher.path, path / "nginx"))
    return {"repository": url, "root": str(publisher.first_root), "group": "canary", "every_s": _LOOK_S}


def _listen(lines: Iterable[str], arrived_s: dict[int, float]) -> None:
    with suppress(ValueError):  # closed: the client has ended
        for line in lines:
            document = json.loads(line) if line.startswith("{") else {}
            if document.get("step") == "change":
                at_s, _, value, _ = document["change"]
                arrived_s.setdefault(int(value or 0), at_s)


def _wait(happened: Callable[[], bool], problem: str, every_s: float = 0.3) -> None:
    end_s = time.monotonic() + _READY_S
    while not happened():
        if time.monotonic() > end_s:
            raise click.ClickException(problem)
        time.sleep(every_s)


def _report_services(console: Console, place: Place, seconds: float, judged: int | None) -> None:
    table = make_table("process", "cores", right=("cores",))
    for name, spent_s in place.worked_s.items():
        table.add_row(name.rstrip(" 0123456789"), f"{spent_s / seconds:.3f}")
    print_table(console, table)
    if judged is not None:
        console.print(f"the candidate judged {judged} parts")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


if __name__ == "__main__":
    main()
