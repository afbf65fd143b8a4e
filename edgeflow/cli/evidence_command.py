"""The ``edgeflow evidence`` commands: each parses and calls one function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["evidence"]

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def _as_json(command: F) -> F:
    return click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")(command)


def _view() -> Any:
    return importlib.import_module("edgeflow.cli.evidence")


@click.group()
def evidence() -> None:
    """Look at the parts whose images a box has kept; also while it runs."""


@evidence.command("list")
@click.argument("box", type=FILE)
@click.option("--verdict", type=click.Choice(["OK", "NG", "UNDECIDED"]), help="Only these.")
@click.option("-n", "--count", type=click.IntRange(min=1), default=20, show_default=True, help="The latest.")
@_as_json
def list_(box: Path, verdict: str | None, count: int, json_output: bool) -> None:
    """Say which parts BOX has kept, the latest first."""
    _view().list_parts(box, verdict=verdict, count=count, json_output=json_output)


@evidence.command()
@click.argument("part")
@click.argument("box", type=FILE)
@click.option("-o", "--output", type=FILE, metavar="PNG", help="Write all its views with their heat there.")
@_as_json
def show(part: str, box: Path, output: Path | None, json_output: bool) -> None:
    """Say why PART (its part id or result id) got its verdict, and where its images lie."""
    _view().show(part, box, output=output, json_output=json_output)
