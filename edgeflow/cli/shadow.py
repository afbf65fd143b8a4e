"""``edgeflow shadow``: parts that a candidate bundle judged otherwise than the running one."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from edgeflow.cli.options import FILE, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.config.box import load_config
from edgeflow.contracts.documents.file_names import as_text
from edgeflow.errors import StorageError
from edgeflow.files import replace_atomically
from edgeflow.shadow.comparison import OUTCOMES
from edgeflow.shadow.page import as_data, as_html
from edgeflow.shadow.report import ShadowReport, shadow_report

__all__ = ["shadow"]

_LONGEST_ID = 32


@click.group()
def shadow() -> None:
    """Look at a candidate bundle that judges the same parts beside the running one."""


@shadow.command()
@click.argument("box", type=FILE)
@click.option("-o", "--output", type=FILE, help="Write one HTML page with pictures; it is replaced.")
@click.option("--candidate", metavar="SHA256", help="The candidate by its first digits; default: the latest.")
@click.option("-n", "--count", type=click.IntRange(min=1), default=20, show_default=True, help="To list.")
@box_overrides
@json_option
def report(
    box: Path,
    output: Path | None,
    candidate: str | None,
    count: int,
    overrides: tuple[str, ...],
    *,
    json_output: bool,
) -> None:
    """Show the parts of BOX that its candidate would judge otherwise, and who is right by their labels."""
    found = shadow_report(load_config(box, overrides), candidate)
    if output is not None:
        try:
            with replace_atomically(output) as file:
                file.write(as_html(found).encode("utf-8", "replace"))
        except OSError as cause:
            raise StorageError(
                f"{output}: cannot be written: {cause.strerror}; make room, or give another place with -o"
            ) from cause
    if json_output:
        print_json(as_data(found))
        return
    _print(found, count)
    if output is not None:
        click.echo(f"{output}: written, with the pictures that are kept")


def _print(found: ShadowReport, count: int) -> None:
    console = Console(highlight=False, markup=False)
    candidate = found.candidate
    console.print(
        f"candidate: {candidate.name} version {candidate.version} ({candidate.sha256[:16]}), "
        f"{candidate.graph}",
        soft_wrap=True,
    )
    console.print(f"compared since {found.since}: {found.compared} parts", soft_wrap=True)
    for outcome, words in OUTCOMES.items():
        if number := found.outcomes[outcome]:
            console.print(f"{number:>8}  {words}", soft_wrap=True)
    if found.skipped:
        reasons = ", ".join(f"{reason} {number}" for reason, number in found.skipped.items())
        console.print(f"not compared: {found.skipped_share:.1%} ({reasons})", soft_wrap=True)
    labels = found.labels
    if labels.parts:
        console.print(
            f"labelled: {labels.parts}; right: running {labels.running_right}, candidate "
            f"{labels.candidate_right}",
            soft_wrap=True,
        )
    if not found.turned:
        console.print("no part would turn")
        return
    table = make_table("part", "turns", "running", "candidate", "label", right=("running", "candidate"))
    for one in found.turned[:count]:
        part, name = one.part, as_text(one.part.part_id)
        table.add_row(
            name if len(name) <= _LONGEST_ID else f"{name[: _LONGEST_ID - 1]}…",
            f"{part.running} → {part.verdict}",
            _score(part.running_score),
            _score(part.score),
            one.label or "",
        )
    print_table(console, table)
    if len(found.turned) > count:
        console.print(f"{count} of {len(found.turned)}; more with -n, all with pictures with -o report.html")


def _score(score: float | None) -> str:
    return "–" if score is None else f"{score:.2f}"
