"""``edgeflow run``: runs the box, and prints a line per part, or JSON, or nothing."""

from __future__ import annotations

import os
import sys
from collections import Counter
from functools import partial
from pathlib import Path

import click
from rich.console import Console

from edgeflow.cli.options import FILE, FiniteRange, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.output_thread import BackgroundView
from edgeflow.contracts.messages import Result, VerdictName
from edgeflow.errors import UsageError
from edgeflow.station.line import RunView
from edgeflow.station.setup.run_setup import run_setup
from edgeflow.station.station import run_box

__all__ = ["make_view", "run"]

_COLOURS: dict[VerdictName, str] = {"OK": "green", "NG": "red", "UNDECIDED": "yellow"}


@click.command()
@click.argument("box", type=FILE)
@click.option("--once", is_flag=True, help="Inspect one part, then stop.")
@click.option("--setup", is_flag=True, help="Only open the cameras, for focusing and aiming on the page.")
@click.option(
    "--every",
    "every_ms",
    type=FiniteRange(min=0, min_open=True),
    metavar="MS",
    help="With --setup: take pictures so often, instead of at the box's trigger.",
)
@box_overrides
@click.option("-q", "--quiet", is_flag=True, help="No line per part.")
@json_option
def run(
    box: Path,
    *,
    once: bool,
    setup: bool,
    every_ms: float | None,
    overrides: tuple[str, ...],
    quiet: bool,
    json_output: bool,
) -> None:
    """Run the inspection box that BOX (a YAML file) describes, until SIGTERM or the end of recorded parts."""
    if setup:
        run_setup(box, overrides=overrides, every_ms=every_ms, ready=partial(click.echo, err=True))
        return
    if every_ms is not None:
        raise UsageError("--every goes with --setup; a line takes its pictures at its trigger")
    with BackgroundView(make_view(quiet=quiet, json_output=json_output)) as view:
        begins_anew = run_box(box, overrides=overrides, once=once, view=view)
    if begins_anew:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very command


def make_view(*, quiet: bool, json_output: bool) -> RunView:
    """The view for the command's options."""
    if json_output:
        return _JsonView(quiet=quiet)
    return _TextView(quiet=quiet)


class _TextView:
    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(highlight=False, soft_wrap=True)

    def ready(self, text: str) -> None:
        self._console.print(text, markup=False)

    def show(self, result: Result) -> None:
        if self._quiet:
            return
        score = "  –  " if result.score is None else f"{result.score:5.2f}"
        colour = _COLOURS[result.verdict]
        total_ms = result.durations_ms["total"]
        self._console.print(
            f"{result.seq:6d}  [{colour}]{result.verdict:<9}[/{colour}] {score}  {total_ms:6.0f} ms  ", end=""
        )
        self._console.print(f"{result.part_id}  {result.reason}".rstrip(), markup=False)

    def finished(self, counts: Counter[VerdictName], waiting: int) -> None:
        total = sum(counts.values())
        verdicts = ", ".join(f"{counts[name]} {name}" for name in _COLOURS)
        self._console.print(f"stopped after {total} part{'' if total == 1 else 's'}: {verdicts}")
        if waiting:
            what = "result waits" if waiting == 1 else "results wait"
            self._console.print(f"{waiting} {what} in the outbox until the next start")


class _JsonView:
    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet

    def ready(self, text: str) -> None:
        """Nothing: standard output holds results only."""

    def show(self, result: Result) -> None:
        if not self._quiet:
            print_json(result.model_dump(mode="json", by_alias=True))

    def finished(self, counts: Counter[VerdictName], waiting: int) -> None:
        print_json({"parts": sum(counts.values()), "verdicts": dict(counts), "results_waiting": waiting})
