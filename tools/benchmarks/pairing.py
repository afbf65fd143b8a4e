"""Assignment of images to parts when packets are delayed by 0 to 400 ms; simulated time."""

from __future__ import annotations

import json
import sys

import click
from rich.console import Console
from rich.table import Table

from simulators.pairing_grid import SOURCES, Faults, Outcome, Source, simulate

LATENCIES_MS = (0, 50, 100, 150, 200, 250, 300, 350, 400)
PERIODS_MS = (100, 150, 200, 300, 500)
BAD = Faults(lost=0.002, ignored=0.002, unheard=0.005, held=0.005)


@click.command()
@click.option("--parts", type=click.IntRange(min=10), default=1000, show_default=True)
@click.option("--jitter-ms", type=click.FloatRange(min=0), default=30, show_default=True)
@click.option("--json", "json_output", is_flag=True)
def main(parts: int, jitter_ms: float, json_output: bool) -> None:
    """Five cameras: latency × period × trigger source → right, UNDECIDED, wrong parts.

    Once with nothing but delay, once with frames lost, triggers ignored, messages lost and held up. Exit
    with 1 if a single part was decided by the image of another one.
    """
    console = Console(stderr=json_output, highlight=False, soft_wrap=True)
    rows: list[dict[str, object]] = []
    wrong = 0
    for source in SOURCES:
        for name, faults in (("delay only", Faults()), ("with faults", BAD)):
            table = Table("latency ms", *(f"{period} ms" for period in PERIODS_MS), title=f"{source}, {name}")
            for latency_ms in LATENCIES_MS:
                cells = [
                    simulate(source, period_ms, latency_ms, jitter_ms=jitter_ms, parts=parts, faults=faults)
                    for period_ms in PERIODS_MS
                ]
                table.add_row(str(latency_ms), *map(_cell, cells))
                wrong += sum(cell.wrong for cell in cells)
                for period_ms, cell in zip(PERIODS_MS, cells, strict=True):
                    rows.append(_row(source, name, latency_ms, period_ms, cell))
            console.print(table)
    console.print(f"{parts} parts a cell, right / UNDECIDED / wrong; wrong in all: {wrong}")
    if json_output:
        click.echo(json.dumps(rows))
    sys.exit(wrong > 0)


def _cell(outcome: Outcome) -> str:
    return f"{outcome.right} / {outcome.undecided} / {outcome.wrong}"


def _row(source: Source, name: str, latency_ms: int, period_ms: int, cell: Outcome) -> dict[str, object]:
    return {
        "source": source, "faults": name, "latency_ms": latency_ms, "period_ms": period_ms,
        "right": cell.right, "undecided": cell.undecided, "wrong": cell.wrong,
    }  # fmt: skip


if __name__ == "__main__":
    main()
