"""``edgeflow bench``: its options; ``bench_report`` measures and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgeflow.cli.bench_choice import choose
from edgeflow.cli.bench_report import bench as measure
from edgeflow.cli.options import FILE, FiniteRange, json_option
from edgeflow.cli.workstation import workstation_module

__all__ = ["bench"]


@click.command()
@click.argument("bundle", type=FILE)
@click.option(
    "--device", default="CPU", show_default=True, help="As for 'edgeflow verify'; AUTO says what it took."
)
@click.option("--graph", "graph_ids", multiple=True, metavar="ID", help="Only this graph; may be repeated.")
@click.option("--parts", type=FILE, help="Recorded parts to score; default: the bundle's golden parts.")
@click.option("--turns", type=click.IntRange(min=3), default=50, show_default=True)
@click.option("--at-most", "at_most_s", type=FiniteRange(min=0), default=120, help="Seconds for the turns.")
@click.option("--threads", type=click.IntRange(min=0), default=0, help="0: one per core.")
@click.option("--streams", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--starts/--no-starts", default=True, help="Measure starts and memory in fresh processes.")
@click.option(
    "--choose",
    "box",
    type=FILE,
    metavar="BOX",
    help="Make the fastest graph that verifies here the one that BOX (a box file) runs, and measure no more.",
)
@click.option("--against", type=FILE, metavar="CHECKPOINT", help="Besides, the naive export of this model.")
@click.option("--backbone", type=FILE, help="For an official CHECKPOINT: EfficientNet-B5's file.")
@click.option("--recipe", type=FILE, help="For a CHECKPOINT that needs one.")
@json_option
def bench(
    bundle: Path,
    box: Path | None,
    against: Path | None,
    backbone: Path | None,
    recipe: Path | None,
    **options: Any,
) -> None:
    """Measure what BUNDLE's graphs cost here: milliseconds by stage, starts, memory, share of the peak.

    Graphs take turns, so that ratios hold on a busy machine.
    """
    if box is not None:
        kept = ("turns", "at_most_s", "json_output")
        choose(bundle, box, **{key: options[key] for key in kept})
        return
    path = options.pop("parts")
    if against is None:
        measure(bundle, parts=path, **options)
        return
    against_model = workstation_module("cli.bench", needed_by="--against")
    against_model.bench_against(bundle, against, backbone=backbone, recipe=recipe, parts=path, **options)
