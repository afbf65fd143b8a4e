"""``edgeflow replay``: recorded parts inspected as a box would, without broker, outbox or evidence."""

from __future__ import annotations

from pathlib import Path

import click

from edgeflow.cli.options import FILE, box_overrides, json_option
from edgeflow.cli.run import make_view
from edgeflow.station.replay import replay_box

__all__ = ["replay"]


@click.command()
@click.argument("box", type=FILE)
@click.argument("parts", type=FILE)
@click.option("--expect", type=FILE, metavar="RESULTS", help="JSON lines that must come out again.")
@click.option("--product", metavar="NAME", help="Product of the parts, on a box with several.")
@click.option("--exact", is_flag=True, help="Bit by bit: the box, its processor and libraries are the same.")
@box_overrides
@click.option("-q", "--quiet", is_flag=True, help="No line per part.")
@json_option
def replay(
    box: Path,
    parts: Path,
    expect: Path | None,
    product: str | None,
    exact: bool,
    overrides: tuple[str, ...],
    quiet: bool,
    json_output: bool,
) -> None:
    """Inspect recorded PARTS as BOX would, without publishing: no broker, no outbox, no evidence.

    With --expect, raw scores must be those of the results within the graph's tolerance, and verdicts wherever
    the score is not that near to the threshold (else exit code 3).
    """
    view = make_view(quiet=quiet, json_output=json_output)
    found = replay_box(
        box, parts, expect=expect, exact=exact, overrides=overrides, view=view, product=product
    )
    if found:
        click.echo(found, err=True)
