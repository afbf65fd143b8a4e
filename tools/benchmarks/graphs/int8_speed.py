"""A bundle's graphs against the fp32 graph of before: paired ratios, operations by time, growth with size."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import numpy as np
import openvino as ov
from rich.console import Console
from rich.table import Table

from benchmarks.graphs.graph_timing import operations, timed_in_turns
from benchmarks.graphs.random_models import SHAPES, rewritten_graphs
from edgeflow.bundles.bundle import Bundle
from edgeflow.diagnostics.peak_memory import own_peak_bytes

BASELINE = Path(__file__).parent / "baseline" / "fast-fp32"
DEMO = Path(__file__).resolve().parents[2] / "demo" / "housing.bundle"
INSTRUCTIONS = {
    "native": {},
    "VNNI": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_VNNI"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2"},
}
"""What OpenVINO is held to; "VNNI" is without AMX, on a processor that has it."""
VIEWS, SIDES = (1, 2, 5, 8, 12), (256, 384, 512, 768, 1024)
TOP = 10


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), default=DEMO)
@click.option("--against", type=click.Path(path_type=Path, exists=True), help="Bundle whose fp32 is 1.")
@click.option("--shape", type=click.Choice(list(SHAPES)), help="Random weights of a recipe's shape instead.")
@click.option("--turns", type=click.IntRange(min=5), default=60, show_default=True)
@click.option("--scaling", is_flag=True, help="Views and image sizes instead, random weights.")
@click.option("--operations", "by_operation", is_flag=True, help="The longest operations of each graph.")
@click.option("--child", hidden=True, help="Measures in this process: threads, or views,side,threads.")
def main(
    bundle: Path,
    against: Path | None,
    shape: str | None,
    turns: int,
    scaling: bool,
    by_operation: bool,
    child: str | None,
) -> None:
    """Ratios on one and two threads: natively, without AMX, and held to AVX2."""
    console = Console(highlight=False)
    if scaling:
        _scaling(console, shape or "fast", turns, child)
    elif by_operation:
        _operations(console, rewritten_graphs(5, SIDES[0], shape) if shape else _graphs(bundle, against))
    else:
        _speed(console, bundle, against, shape, turns, child)


def _speed(
    console: Console, bundle: Path, against: Path | None, shape: str | None, turns: int, child: str | None
) -> None:
    if child is not None:
        graphs = rewritten_graphs(5, SIDES[0], shape) if shape else _graphs(bundle, against)
        found = timed_in_turns(graphs, threads=int(child), turns=turns)
        print(json.dumps({name: vars(timing) for name, timing in found.items()}))
        return
    table = Table("graph", "held to", "threads", "wall ms", "CPU ms", "wall ratio", "CPU ratio")
    options = [
        "--bundle",
        str(bundle),
        "--turns",
        str(turns),
        *(["--against", str(against)] if against else []),
        *(["--shape", shape] if shape else []),
    ]
    for isa in INSTRUCTIONS:
        for threads in (1, 2):
            for name, timing in _in_child([*options, "--child", str(threads)], isa).items():
                cells = (timing[key] for key in ("wall_ms", "cpu_ms", "ratio_wall", "ratio"))
                table.add_row(
                    name.removeprefix("openvino-"), isa, str(threads), *(f"{value:.3g}" for value in cells)
                )
    console.print(table)


def _operations(console: Console, graphs: dict[str, ov.Model]) -> None:
    for name, model in graphs.items():
        rows = operations(model)
        whole = sum(row[2] for row in rows)
        table = Table("kind", "operation", "ms", "share", title=f"{name}: {whole:.2f} ms, one thread")
        for kind, operation, took in rows[:TOP]:
            table.add_row(kind, operation, f"{took:.3f}", f"{took / whole:.1%}")
        console.print(table)


def _scaling(console: Console, shape: str, turns: int, child: str | None) -> None:
    """Growth with views at 256 and with the side at five views; 'of linear' is per pixel, to the smallest."""
    if child is not None:
        views, side, threads = map(int, child.split(","))
        found = timed_in_turns(rewritten_graphs(views, side, shape), threads=threads, turns=turns)
        timings = {name: vars(timing) for name, timing in found.items()}
        print(json.dumps({"timings": timings, "peak_mb": own_peak_bytes() / 1e6}))
        return
    cases = [*((views, SIDES[0]) for views in VIEWS), *((5, side) for side in SIDES[1:])]
    table = Table("graph", "views", "side", "threads", "ms", "of linear", "peak MB")
    for threads in (1, 2):
        first: dict[str, float] = {}
        for views, side in cases:
            options = ["--scaling", "--shape", shape, "--turns", str(turns)]
            grown = _in_child([*options, "--child", f"{views},{side},{threads}"])
            for name, timing in grown["timings"].items():
                per_pixel = timing["wall_ms"] / (views * side * side)
                linear = per_pixel / first.setdefault(name, per_pixel)
                cells = (f"{timing['wall_ms']:.1f}", f"{linear:.2f}", f"{grown['peak_mb']:.0f}")
                row = (name, str(views), str(side), str(threads), *cells)
                table.add_row(*row)
                click.echo("  ".join(row), err=True)  # the whole takes minutes
    console.print(table)


def _in_child(options: list[str], isa: str = "native") -> dict[str, Any]:
    environment = os.environ | INSTRUCTIONS[isa]
    command = [sys.executable, "-m", "benchmarks.graphs.int8_speed", *options]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _graphs(bundle: Path, against: Path | None) -> dict[str, ov.Model]:
    """The graph that is 1, then those of the bundle."""
    graphs = {"before": _read(*(_unpacked(kind) for kind in ("xml", "bin")))}
    if against is not None:
        with Bundle.open(against) as opened:
            entry = next(graph for graph in opened.manifest.graphs if graph.id == "openvino-fp32")
            model, weights = opened.read(entry.model), opened.read(entry.weights or "")
            graphs = {"before": _read(model, weights)}
    with Bundle.open(bundle) as opened:
        for graph in opened.manifest.graphs:
            if graph.backend == "openvino":
                graphs[graph.id] = _read(opened.read(graph.model), opened.read(graph.weights or ""))
    return graphs


def _read(model: bytes, weights: bytes) -> ov.Model:
    return ov.Core().read_model(model, ov.Tensor(np.frombuffer(weights, np.uint8)))


def _unpacked(kind: str) -> bytes:
    return lzma.decompress(BASELINE.with_suffix(f".{kind}.xz").read_bytes())


if __name__ == "__main__":
    main()
