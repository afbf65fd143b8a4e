"""The ``edgeflow outbox`` commands: each parses and calls one function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["outbox"]

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def _as_json(command: F) -> F:
    return click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")(command)


def _view() -> Any:
    return importlib.import_module("edgeflow.cli.outbox")


@click.group()
def outbox() -> None:
    """Look at the results that wait in a box's outbox, and get them out; also while the box runs."""


@outbox.command()
@click.argument("box", type=FILE)
@_as_json
def status(box: Path, json_output: bool) -> None:
    """Say how many results wait in BOX's outbox, since when, and what was given up."""
    _view().status(box, json_output=json_output)


@outbox.command()
@click.argument("box", type=FILE)
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), default=30.0, show_default=True)
@_as_json
def flush(box: Path, timeout_s: float, json_output: bool) -> None:
    """Deliver what waits now: by the box where it runs, else by this command."""
    _view().flush(box, timeout_s=timeout_s, json_output=json_output)


@outbox.command()
@click.argument("box", type=FILE)
@click.option("-o", "--output", type=FILE, help="Write here; default: standard output.")
@click.option("--aside", is_flag=True, help="Those that are set aside instead, as they are stored.")
@_as_json
def export(box: Path, output: Path | None, aside: bool, json_output: bool) -> None:
    """Write the waiting results as JSON lines; they stay in the outbox."""
    _view().export(box, output=output, aside=aside, json_output=json_output)


@outbox.command()
@click.argument("box", type=FILE)
@_as_json
def aside(box: Path, json_output: bool) -> None:
    """List the results that BOX keeps but does not send, because they cannot be delivered."""
    _view().list_aside(box, json_output=json_output)


@outbox.command()
@click.argument("box", type=FILE)
@click.argument("ids", type=click.IntRange(1, 2**63 - 1), nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that are set aside.")
@_as_json
def restore(box: Path, ids: tuple[int, ...], everything: bool, json_output: bool) -> None:
    """Have results sent again that were set aside; IDS are those that 'aside' lists."""
    _view().restore(box, ids=ids, everything=everything, json_output=json_output)
