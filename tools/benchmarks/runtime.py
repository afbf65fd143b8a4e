"""Benchmarks of the demo bundle on this machine: ratios within one run, since machines are noisy."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.measured_process import watched_run
from edgeflow.backends.runner import DEFAULT_PLACEMENT
from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.diagnostics.benchmark import contender_of, costs, load_parts, measure_in_turns
from edgeflow.scoring.loading import choose_graph

DEMO = Path(__file__).resolve().parents[1] / "demo"


@click.command()
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), default=DEMO / "housing.bundle")
@click.option("--parts", type=click.Path(path_type=Path, exists=True), default=DEMO / "parts")
@click.option("--box", type=click.Path(path_type=Path, exists=True), default=DEMO / "box.yaml")
@click.option("--repeat", type=click.IntRange(min=5), default=60, show_default=True)
@click.option(
    "--parts-per-s", "rate", type=click.FloatRange(min=0.1), help="Of the line; default: half of what it can."
)
@click.option("--json", "json_output", is_flag=True)
def main(bundle: Path, parts: Path, box: Path, repeat: int, rate: float | None, json_output: bool) -> None:
    """Time every graph of the bundle, then the whole line."""
    console = Console(stderr=json_output, highlight=False)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    graphs, chosen = _time_graphs(bundle, parts, repeat)
    table = Table("ms per part", "p50", "p99", "against the first", "over the graph")
    for name, figures in graphs.items():
        table.add_row(
            name,
            f"{figures['p50_ms']:.1f}",
            f"{figures['p99_ms']:.1f}",
            f"{figures['ratio']:.2f}",
            f"{figures['overhead']:.1%}",
        )
    console.print(table)
    score_ms = graphs[chosen]["p50_ms"]
    line = _time_line(box, parts, score_ms, 1000 / rate if rate else max(10.0, 2 * score_ms))
    console.print(
        f"edgeflow run, {chosen}: {line['parts_per_s']:.1f} parts/s at one part every "
        f"{line['period_ms']:.0f} ms, p50 trigger to decision {line['total_p50_ms']:.1f} ms, "
        f"scoring in the line / scorer alone {line['score_ratio']:.2f}, peak memory {line['peak_mb']:.0f} MB"
    )
    if json_output:
        click.echo(json.dumps({"graphs": graphs, "line": line}))


def _time_graphs(path: Path, folder: Path, repeat: int) -> tuple[dict[str, dict[str, float]], str]:
    """Milliseconds per part, and what scoring adds to the graph; the graph that a box takes by itself."""
    with Bundle.open(path) as bundle:
        contenders = [contender_of(bundle, graph, DEFAULT_PLACEMENT) for graph in bundle.manifest.graphs]
        turns = measure_in_turns(contenders, load_parts(bundle, folder), turns=repeat, at_most_s=300)
        chosen = choose_graph(bundle, backend="openvino", precision="auto").id
    figures = {
        cost.name: {
            "p50_ms": cost.p50_ms["part"],
            "p99_ms": cost.p99_ms["part"],
            "ratio": cost.ratio,
            "overhead": cost.overhead or 0.0,
        }
        for cost in costs(turns, contenders[0].name)
    }
    return figures, chosen


def _time_line(box: Path, parts: Path, score_ms: float, period_ms: float) -> dict[str, float]:
    """The whole line on the recorded parts, without a broker: results wait in the outbox."""
    with tempfile.TemporaryDirectory() as folder:
        settings = (
            "mqtt.port=1",
            f"trigger.period_ms={period_ms:.1f}",
            f"outbox.path={folder}/outbox.db",
            f"evidence.dir={folder}/evidence",
        )
        command = [sys.executable, "-m", "edgeflow.cli", "run", str(box), "--json"]
        command += [argument for setting in settings for argument in ("--set", setting)]
        output, peak = watched_run(command, stderr=subprocess.PIPE)
    results = [json.loads(line) for line in output.splitlines()[:-1]]
    if len(results) != len(find_parts(parts)):
        raise click.ClickException(f"{len(results)} results for {len(find_parts(parts))} parts")
    scored = [r["durations_ms"]["score"] for r in results if r["score"] is not None]
    first, last = (datetime.fromisoformat(r["decided_at"]) for r in (results[0], results[-1]))
    return {
        "period_ms": period_ms,
        "parts_per_s": (len(results) - 1) / (last - first).total_seconds(),
        "total_p50_ms": float(np.median([r["durations_ms"]["total"] for r in results])),
        "score_ratio": float(np.median(scored)) / score_ms,
        "undecided": float(sum(r["verdict"] == "UNDECIDED" for r in results)),
        "peak_mb": peak / 1e6,
    }


if __name__ == "__main__":
    main()
