"""Decisions of a running box with OPC UA clients, one of them stalled, against none; a verdict's way to one.

PYTHONPATH=tools python -m benchmarks.opcua

Both are measured in turns in one run of one box that inspects the demo's parts ten times a second. The client
is node-opcua.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import queue
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml
from rich.console import Console

from benchmarks.page import cpu_s, results_of, running, write_box
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.config.box import load_config
from edgeflow.opcua.clients.trust_list import trust_refused
from edgeflow.security.users import add_user
from simulators.opcua_client import CLIENT_URI, NodeOpcUa, client_certificate, install_node_opcua

RUNS = Path(__file__).resolve().parents[2] / "runs" / "npm-opcua"
SHARE, MS, VERDICT_MS = 1.05, 0.3, 20.0
INTERVAL_MS = 10.0
SETTLE_S = 3.0
PASSWORD = "of this benchmark"  # noqa: S105


@dataclass(kw_only=True)
class Phases:
    """Times of all phases of one kind.

    Attributes:
        decided_ms: from the trigger to the decision, one list a phase.
        verdict_ms: from the decision to the client's program.
        cores: of the server.
    """

    decided_ms: list[list[float]] = field(default_factory=list)
    verdict_ms: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)


@click.command()
@click.option("--turns", type=int, default=4, show_default=True)
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Of each phase.")
@click.option("--period-ms", type=float, default=100.0, show_default=True)
def main(turns: int, seconds: float, period_ms: float) -> None:
    """Measure, print one table, and end with 1 where a bound is missed."""
    console = Console(highlight=False)
    node = install_node_opcua(RUNS)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        box = write_box(Path(folder), period_ms)
        prepare_opcua(box)
        process = stack.enter_context(running("run", str(box), "--json"))
        results = results_of(process)
        while results.empty():
            time.sleep(0.2)
        found = {False: Phases(), True: Phases()}
        for turn in range(2 * turns):
            _phase(found[bool(turn % 2)], results, box, node if turn % 2 else None, seconds)
    _report(console, found)


def prepare_opcua(box: Path) -> None:
    """Give the box file its section, a user, and a client that is trusted."""
    document = yaml.safe_load(box.read_text())
    document["opcua"] = {"listen": "127.0.0.1:0"}
    box.write_text(yaml.safe_dump(document))
    config = load_config(box)
    add_user(config.web_users_path, "plc", "viewer", PASSWORD)
    trust_refused(config.opcua_path, str(client_certificate(box.parent, "client")[0]))


def _phase(
    phases: Phases,
    results: queue.SimpleQueue[dict[str, Any]],
    box: Path,
    node: NodeOpcUa | None,
    seconds: float,
) -> None:
    """Measure one phase, with a server and its clients where there is a client."""
    with ExitStack() as stack:
        server = reader = None
        if node is not None:
            server, address = stack.enter_context(opcua_server(box))
            _stalled(stack, node, box, address)
            reader = stack.enter_context(opcua_client(node, box, address, SETTLE_S + seconds))
        time.sleep(SETTLE_S)
        while not results.empty():
            results.get()
        before_s, began_s = cpu_s(server.pid) if server else 0.0, time.monotonic()
        time.sleep(seconds)
        if server is not None:
            phases.cores.append((cpu_s(server.pid) - before_s) / (time.monotonic() - began_s))
        decided: dict[int, float] = {}
        phases.decided_ms.append([])
        while not results.empty():
            result = results.get()
            phases.decided_ms[-1].append(float(result["deadline"]["decided_after_ms"]))
            decided[result["seq"]] = dt.datetime.fromisoformat(result["decided_at"]).timestamp()
        if reader is not None:
            phases.verdict_ms += _ways_ms(reader, decided)


def _ways_ms(reader: subprocess.Popen[str], decided: dict[int, float]) -> list[float]:
    """Return each verdict's way to the client; times of decisions are whole milliseconds, rounded down."""
    for line in reader.stdout or ():
        document = json.loads(line) if line.startswith("{") else {}
        if document.get("step") == "subscribe":
            arrived = {value: at for at, _, value, _ in document["answer"]}
            return [1000 * (arrived[seq] - at) for seq, at in decided.items() if seq in arrived]
    raise click.ClickException("the client ended before it had subscribed")


@contextmanager
def opcua_server(box: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with running("opcua", str(box), "--json") as process:
        line = process.stdout.readline() if process.stdout else ""
        yield process, json.loads(line or "{}")["address"]


@contextmanager
def opcua_client(
    node: NodeOpcUa, box: Path, address: str, seconds: float, *, stream: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """A client that has subscribed to each part's number, which is written with its verdict.

    Args:
        stream: it prints each change as it comes; otherwise all of them at the end.
    """
    job = {
        "endpoint": address,
        "uri": CLIENT_URI,
        "certificate": str(box.parent / "client.pem"),
        "key": str(box.parent / "client.key.pem"),
        "folder": str(box.parent / "pki"),
        "user": "plc",
        "password": PASSWORD,
        "transport_timeout_ms": 60_000,  # benchmarks let it stand still
        "steps": [
            {
                "do": "subscribe",
                "nodes": ["ns=3;s=Inspection.Sequence"],
                "interval_ms": INTERVAL_MS,
                "seconds": seconds,
                "stream": stream,
            }
        ],
    }
    process = node.start(job)
    try:
        for line in process.stdout or ():
            if '"subscribed"' in line:
                break
        yield process
    finally:
        process.kill()
        process.wait()


def _stalled(stack: ExitStack, node: NodeOpcUa, box: Path, address: str) -> None:
    """A client that has subscribed and then stands still."""
    client = stack.enter_context(opcua_client(node, box, address, 3600))
    os.kill(client.pid, signal.SIGSTOP)


def _report(console: Console, found: dict[bool, Phases]) -> None:
    table = make_table("OPC UA", "parts", "p50 ms", "p99 ms", right=("parts", "p50 ms", "p99 ms"))
    p99 = {}
    for on, phases in found.items():
        times_ms = np.concatenate(phases.decided_ms)
        p50, p99[on] = np.quantile(times_ms, [0.5, 0.99])
        name = "a client that reads, one that stalls" if on else "none"
        table.add_row(name, str(len(times_ms)), f"{p50:.2f}", f"{p99[on]:.2f}")
    print_table(console, table)
    pairs = list(zip(found[True].decided_ms, found[False].decided_ms, strict=True))
    for share in (0.5, 0.99):
        ratios = [np.quantile(served, share) / np.quantile(alone, share) for served, alone in pairs]
        low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
        console.print(
            f"p{100 * share:.0f} of a phase against the one before: {middle:.3f} (median of {len(pairs)}), "
            f"half of them from {low:.3f} to {high:.3f}"
        )
    ways = found[True].verdict_ms
    way50, way99 = np.quantile(ways, [0.5, 0.99])
    console.print(
        f"p99 of all: {p99[True] / p99[False]:.3f} of the one without; wanted: {SHARE} or {MS} ms more"
    )
    console.print(
        f"from a decision to the client, {len(ways)} verdicts at {INTERVAL_MS:.0f} ms: p50 {way50:.1f} ms, "
        f"p99 {way99:.1f} ms; wanted: {VERDICT_MS:.0f} ms"
    )
    console.print(f"the server takes {np.median(found[True].cores):.3f} cores")
    good = p99[True] <= max(p99[False] * SHARE, p99[False] + MS) and way99 <= VERDICT_MS
    raise SystemExit(not good)


if __name__ == "__main__":
    main()
