"""The ``edgeflow cameras`` commands and ``edgeflow record``: each parses and calls one function."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["cameras", "record"]

F = TypeVar("F", bound=Callable[..., Any])
FILE = click.Path(path_type=Path)


def _shared(command: F) -> F:
    """What every command that opens a box's cameras takes."""
    options = (
        click.argument("box", type=FILE),
        click.option("-o", "--output", type=FILE, required=True, metavar="DIR", help="Folder to write to."),
        click.option(
            "--every",
            "every_ms",
            type=click.FloatRange(min=0, min_open=True),
            metavar="MS",
            help="Take a view set each so many milliseconds, instead of at the box's trigger.",
        ),
        click.option(
            "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Replace one value of BOX."
        ),
        click.option("--json", "json_output", is_flag=True, help="Machine-readable output."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _view() -> Any:
    """Imported late: camera libraries cost other commands time to start."""
    return importlib.import_module("edgeflow.cli.cameras")


@click.group()
def cameras() -> None:
    """Find cameras, and see what they see."""


@cameras.command("list")
@click.option("--json", "json_output", is_flag=True, help="Machine-readable output.")
def list_(json_output: bool) -> None:
    """List what is attached, as YAML to paste into a box file."""
    _view().list_cameras(json_output=json_output)


@cameras.command()
@_shared
def snapshot(box: Path, **options: Any) -> None:
    """Save one view set of BOX's cameras and a contact sheet of it."""
    _view().take_snapshot(box, **options)


@click.command()
@_shared
@click.option("-n", "--count", type=click.IntRange(min=1), default=200, show_default=True)
def record(box: Path, **options: Any) -> None:
    """Record view sets of BOX's cameras, with their timing, for training, scoring and replay."""
    _view().record_sets(box, **options)
