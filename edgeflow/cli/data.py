"""``edgeflow data``: a folder of recorded parts is looked at before anything is trained on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console
from rich.progress import track
from rich.table import Table
from rich.text import Text

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.datasets.layouts import LAYOUTS
from edgeflow.diagnostics.data_set import DataInspection, InspectionChoices, inspect_data
from edgeflow.diagnostics.data_set.images import sizes_text
from edgeflow.errors import DataError

__all__ = ["data"]

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}

T = TypeVar("T")


@click.group()
def data() -> None:
    """Look at recorded parts before a training."""


@data.command()
@click.argument("folder", type=FILE)
@click.option("--class", "class_name", help="Which class of a folder with several.")
@click.option("--view", "views", multiple=True, metavar="VIEW", help="A view that is wanted; default: all.")
@click.option("--layout", type=click.Choice(list(LAYOUTS)), help="Default: as the folder shows.")
@click.option("--split", help="Table that splits the parts, of VisA; default: 1cls.")
@click.option("--decode", is_flag=True, help="Decode every image; default: read headers.")
@json_option
def inspect(
    folder: Path,
    *,
    class_name: str | None,
    views: tuple[str, ...],
    layout: str | None,
    split: str | None,
    decode: bool,
    json_output: bool,
) -> None:
    """Say what FOLDER holds, what is odd about it, and the section 'data' of a recipe for it."""
    choices = InspectionChoices(
        class_name=class_name, views=views or None, layout=layout, split=split, decode=decode
    )
    found = inspect_data(folder, choices, progress=_shown)
    if json_output:
        print_json(_as_json(found))
    else:
        _print(found)
    if not found.ok:
        failed = sum(finding.state == "failed" for finding in found.findings)
        raise DataError(f"{folder}: {failed} finding(s) that a training or an evaluation would refuse")


def _shown(items: Iterable[T], /, what: str, total: int) -> Iterable[T]:
    """A bar on standard error, for as long as something is gone through."""
    console = Console(stderr=True, markup=False)
    return track(items, what, total, console=console, transient=True, disable=not console.is_terminal)


def _as_json(found: DataInspection) -> dict[str, object]:
    return {
        "root": str(found.root),
        "layout": found.layout,
        "title": found.title,
        "others": dict(found.others),
        "class_name": found.class_name,
        "parts": found.parts,
        "splits": dict(found.splits),
        "labels": dict(found.labels),
        "views": [
            {
                "view": view.view,
                "parts": view.parts,
                "sizes": dict(view.sizes),
                "bits": {str(bits): count for bits, count in view.bits.items()},
            }
            for view in found.views
        ],
        "masks": asdict(found.masks),
        "notes": list(found.notes),
        "findings": [asdict(finding) for finding in found.findings],
        "ok": found.ok,
        "data": dict(found.block.keys),
    }


def _print(found: DataInspection) -> None:
    out = Console(highlight=False)
    of = f", class {found.class_name}" if found.class_name else ""
    lines = [
        f"{found.title} (layout {found.layout}){of}",
        f"{found.parts} parts by split: {_listed(found.splits)}",
        f"by label: {_listed(found.labels)}",
    ]
    masks = found.masks
    if masks.defective_parts:
        empty = f", {masks.empty} of them empty" if masks.empty else ""
        lines.append(
            f"{masks.with_masks} of {masks.defective_parts} defective parts have masks "
            f"({masks.masks} masks{empty})"
        )
    for line in (*lines, *(f"note: {note}" for note in found.notes)):
        out.print(line, markup=False, soft_wrap=True)
    table = make_table("view", "parts", "size", "bits", right=("parts",))
    for view in found.views:
        bits = ", ".join(str(bits) for bits in sorted(view.bits))
        table.add_row(view.view, str(view.parts), sizes_text(view.sizes) if view.sizes else "–", bits or "–")
    print_table(out, table)
    if found.findings:
        odd = Table("what", "state", "found", box=None)
        for finding in found.findings:
            style = "bold red" if finding.grave else _COLOURS[finding.state]
            odd.add_row(
                Text(finding.name), Text(finding.state, style=style), Text(finding.text, overflow="fold")
            )
        out.print(odd)
        out.print()
    out.print(found.block.as_yaml(), markup=False, soft_wrap=True, end="")


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())
