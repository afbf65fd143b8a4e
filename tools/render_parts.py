"""Render a machined part, good and with defects, as five cameras see it, in the Real-IAD layout."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from edgeflow.errors import EdgeflowError
from rendering.contact_sheet import overview, write_contact_sheet
from rendering.dataset import Plan, make_room, render, write_index

COUNT = click.IntRange(min=0)


@click.command(context_settings={"show_default": True})
@click.argument("out", type=click.Path(path_type=Path), required=False)
@click.option("--train", type=COUNT, default=200, help="Good parts to train on.")
@click.option("--test-normal", type=COUNT, default=60, help="Good parts to test on.")
@click.option("--test-defective", type=COUNT, default=60, help="Defective parts to test on.")
@click.option(
    "--size", type=click.IntRange(min=64, max=2048), default=256, help="Side of the images, in pixels."
)
@click.option("--seed", type=COUNT, default=7, help="The same seed gives the same parts.")
@click.option("--class", "class_name", default="housing", help="Name of the product in the data set.")
@click.option("--foreground", is_flag=True, help="Also write where each part is, for foreground.masks.")
@click.option("--workers", type=click.IntRange(min=1), default=1, help="Processes that render side by side.")
@click.option("--force", is_flag=True, help="Replace an earlier rendering of this product in OUT.")
@click.option(
    "--contact-sheet", type=click.Path(path_type=Path, dir_okay=False), help="Also write one overview image."
)
def main(
    *,
    out: Path | None,
    train: int,
    test_normal: int,
    test_defective: int,
    size: int,
    seed: int,
    class_name: str,
    foreground: bool,
    workers: int,
    force: bool,
    contact_sheet: Path | None,
) -> None:
    """Render parts into the folder OUT. The images are rendered, not photographed."""
    if out is None and contact_sheet is None:
        raise click.UsageError("nothing to do; name the folder OUT, or a --contact-sheet")
    try:
        if contact_sheet is not None:
            write_contact_sheet(contact_sheet, overview(seed), size=size)
            click.echo(f"wrote {contact_sheet}")
        if out is not None:
            counts = (train, test_normal, test_defective)
            plan = Plan(
                out=out, class_name=class_name, counts=counts, size=size, seed=seed, foreground=foreground
            )
            make_room(plan, force=force)
            _render_all(plan, workers)
    except EdgeflowError as error:
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(error.exit_code) from error


def _render_all(plan: Plan, workers: int) -> None:
    started_s = time.monotonic()
    columns = (
        TextColumn("rendering parts"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        parts = list(progress.track(render(plan, workers=workers), total=sum(plan.counts)))
    write_index(plan, parts)
    took_s = time.monotonic() - started_s
    click.echo(
        f"rendered {len(parts)} parts into {plan.out} in {took_s:.0f} s ({len(parts) / took_s:.1f} parts/s)"
    )


if __name__ == "__main__":
    main()
