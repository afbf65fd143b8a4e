"""Decisions of a running box with a candidate bundle beside the running one, against the same box without.

PYTHONPATH=tools python -m benchmarks.shadow

Two boxes inspect the demo's parts in turns: while one does, the other one stands still. Their order changes
from turn to turn.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import click
import numpy as np
import yaml
from rich.console import Console

from benchmarks.page import DEMO, results_of, running, write_box
from edgeflow.cli.terminal.tables import make_table, print_table

SHARE, MS = 1.05, 0.3
SETTLE_S = 3.0
_READY_S = 900.0  # a candidate takes what others leave of the processors


@click.command()
@click.option("--turns", type=int, default=8, show_default=True, help="Pairs of phases.")
@click.option("--seconds", type=float, default=20.0, show_default=True, help="Of each phase.")
@click.option("--period-ms", type=float, default=200.0, show_default=True)
@click.option("--json", "json_output", is_flag=True)
def main(turns: int, seconds: float, period_ms: float, *, json_output: bool) -> None:
    """Measure, print one table, and end with 1 where the bound is missed."""
    console = Console(stderr=json_output, highlight=False)
    found: dict[str, list[list[float]]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        boxes = {}
        for name in found:
            place = Path(folder) / name
            place.mkdir()
            box = _box(place, period_ms, shadow=name == "with")
            process = stack.enter_context(running("run", str(box), "--json"))
            results = results_of(process)
            boxes[name] = (process, results, box)
            stack.callback(stand, process, still=False)  # else it could not end
            _warm(results, box, shadow=name == "with")
            stand(process, still=True)
        for turn in range(turns):
            for name in sorted(found, reverse=bool(turn % 2)):
                process, results, _ = boxes[name]
                stand(process, still=False)
                found[name].append(_phase(results, seconds))
                stand(process, still=True)
        parts = compared(boxes["with"][2])
    rows = _figures(found)
    _report(console, found, rows, parts)
    if json_output:
        click.echo(json.dumps({**rows, "compared": parts}))
    raise SystemExit(not rows["good"])


def _box(folder: Path, period_ms: float, *, shadow: bool) -> Path:
    box = write_box(folder, period_ms)
    if shadow:
        document = yaml.safe_load(box.read_text())
        document["shadow"] = {"bundle": str(DEMO / "housing.bundle")}
        box.write_text(yaml.safe_dump(document))
    return box


def _warm(results: queue.SimpleQueue[dict[str, Any]], box: Path, *, shadow: bool) -> None:
    end_s = time.monotonic() + _READY_S
    while results.empty() or (shadow and not compared(box)):
        if time.monotonic() > end_s:
            raise click.ClickException("the box or its candidate is not ready")
        time.sleep(0.2)


def compared(box: Path) -> int:
    """Return the number of parts that the candidate judged."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "shadow", "report", str(box), "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    return int(json.loads(done.stdout)["compared"]) if done.returncode == 0 else 0


def stand(process: subprocess.Popen[str], *, still: bool) -> None:
    """Stop a box with all its processes, or let it go on."""
    with suppress(OSError):
        for pid in (process.pid, *children(process.pid)):
            os.kill(pid, signal.SIGSTOP if still else signal.SIGCONT)


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]


def _phase(results: queue.SimpleQueue[dict[str, Any]], seconds: float) -> list[float]:
    """Times in ms from the trigger to the decision, of one phase."""
    time.sleep(SETTLE_S)
    while not results.empty():
        results.get()
    time.sleep(seconds)
    times_ms = []
    while not results.empty():
        times_ms.append(float(results.get()["deadline"]["decided_after_ms"]))
    return times_ms


def _figures(found: dict[str, list[list[float]]]) -> dict[str, Any]:
    """Medians over the pairs of phases: p50 and p99 of each, their ratio and their difference."""
    pairs = [
        (np.quantile(off, [0.5, 0.99]), np.quantile(on, [0.5, 0.99]))
        for off, on in zip(found["without"], found["with"], strict=True)
        if off and on
    ]
    off, on = (np.median([pair[side] for pair in pairs], axis=0) for side in (0, 1))
    ratio = float(np.median([on[1] / off[1] for off, on in pairs]))
    difference_ms = float(np.median([on[1] - off[1] for off, on in pairs]))
    return {
        "p50_ms": {"without": float(off[0]), "with": float(on[0])},
        "p99_ms": {"without": float(off[1]), "with": float(on[1])},
        "p99_ratio": ratio,
        "p99_difference_ms": difference_ms,
        "good": ratio <= SHARE or difference_ms <= MS,
    }


def _report(
    console: Console, found: dict[str, list[list[float]]], rows: dict[str, Any], compared: int
) -> None:
    table = make_table("candidate", "parts", "p50 ms", "p99 ms", right=("parts", "p50 ms", "p99 ms"))
    for name, phases in found.items():
        count = sum(map(len, phases))
        table.add_row(name, str(count), f"{rows['p50_ms'][name]:.2f}", f"{rows['p99_ms'][name]:.2f}")
    print_table(console, table)
    console.print(
        f"p99: ratio {rows['p99_ratio']:.3f}, difference {rows['p99_difference_ms']:+.2f} ms, medians over "
        f"{len(found['with'])} pairs; {compared} parts compared"
    )
    console.print(f"wanted: within {SHARE - 1:.0%} or {MS} ms")


if __name__ == "__main__":
    main()
