"""The ``edgeflow replay`` command."""

from __future__ import annotations

import importlib
from pathlib import Path

import click

__all__ = ["replay"]

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("box", type=FILE)
@click.argument("parts", type=FILE)
@click.option("--expect", type=FILE, metavar="RESULTS", help="JSON lines that must come out again.")
@click.option("--exact", is_flag=True, help="Bit by bit: the box, its processor and libraries are the same.")
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace one value of BOX.")
@click.option("-q", "--quiet", is_flag=True, help="No line per part.")
@click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")
def replay(
    box: Path,
    parts: Path,
    expect: Path | None,
    exact: bool,
    overrides: tuple[str, ...],
    quiet: bool,
    json_output: bool,
) -> None:
    """Inspect recorded PARTS as BOX would, and tell nobody: no broker, no outbox, no evidence.

    With --expect, raw scores must be those of the results within the graph's tolerance, and verdicts wherever
    the score is not that near to the threshold (else exit code 3).
    """
    view = importlib.import_module("edgeflow.cli.run").make_view(quiet=quiet, json_output=json_output)
    replaying = importlib.import_module("edgeflow.station.replay")
    found = replaying.replay_box(box, parts, expect=expect, exact=exact, overrides=overrides, view=view)
    if found:
        click.echo(found, err=True)
