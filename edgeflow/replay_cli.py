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
@click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace one value of BOX.")
@click.option("-q", "--quiet", is_flag=True, help="No line per part.")
@click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")
def replay(
    box: Path, parts: Path, expect: Path | None, overrides: tuple[str, ...], quiet: bool, json_output: bool
) -> None:
    """Inspect recorded PARTS as BOX would, and tell nobody: no broker, no outbox, no evidence.

    With --expect, verdicts and raw scores must be those of the results, bit by bit (else exit code 3).
    """
    view = importlib.import_module("edgeflow.run_view").make_view(quiet=quiet, json_output=json_output)
    replaying = importlib.import_module("edgeflow.replaying")
    replaying.replay_box(box, parts, expect=expect, overrides=overrides, view=view)
