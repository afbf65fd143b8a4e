"""``edgeflow cameras`` and ``edgeflow record``: finds cameras, saves and records their images."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click
from rich.console import Console

from edgeflow.cameras.discovery import attached_cameras
from edgeflow.capture.recorder import record as record_sets
from edgeflow.capture.recorder import recording_config
from edgeflow.capture.recorder import snapshot as take_snapshot
from edgeflow.cli.options import FILE, box_overrides, json_option
from edgeflow.cli.terminal.output import print_json

__all__ = ["cameras", "record"]

F = TypeVar("F", bound=Callable[..., Any])


def _recording_options(command: F) -> F:
    """Add the options of every command that opens a box's cameras."""
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
        box_overrides,
        json_option,
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.group()
def cameras() -> None:
    """Find cameras, and see what they see."""


@cameras.command("list")
@json_option
def list_(*, json_output: bool) -> None:
    """List what is attached, as YAML to paste into a box file."""
    found, notes = attached_cameras()
    if json_output:
        print_json({"cameras": [asdict(camera) for camera in found], "notes": notes})
        return
    for note in notes:
        Console(stderr=True, highlight=False).print(f"note: {note}", markup=False)
    if not found:
        print("# no camera found; check power, cables and, for network cameras, addresses")
        return
    lines = ["cameras: # put your views' names instead"]
    for number, camera in enumerate(found, 1):
        # JSON's quoting is YAML's: a serial number of digits stays text.
        values = ", ".join(f"{key}: {json.dumps(value)}" for key, value in camera.config.items())
        lines.append(f"  view{number}: {{{values}}} # {camera.about}")
    print("\n".join(lines))


@cameras.command()
@_recording_options
def snapshot(
    box: Path, *, output: Path, overrides: tuple[str, ...], every_ms: float | None, json_output: bool
) -> None:
    """Save one view set of BOX's cameras and a contact sheet of it."""
    config = recording_config(box, overrides, every_ms)
    taken = take_snapshot(config, output)
    if json_output:
        print_json(
            {
                "output": str(output),
                "views": list(taken.frames),
                "missing": taken.missing,
                "skew_ms": taken.skew_ms,
                "fault": taken.fault,
            }
        )
        return
    skew = "–" if taken.skew_ms is None else f"{taken.skew_ms:.1f} ms"
    missing = f", missing: {', '.join(taken.missing)}" if taken.missing else ""
    fault = f", {taken.fault}" if taken.fault else ""
    text = f"{output}/contact_sheet.png: {len(taken.frames)} views, skew {skew}{missing}{fault}"
    Console(highlight=False).print(text, markup=False, soft_wrap=True)


@click.command()
@_recording_options
@click.option("-n", "--count", type=click.IntRange(min=1), default=200, show_default=True)
def record(
    box: Path,
    *,
    count: int,
    output: Path,
    overrides: tuple[str, ...],
    every_ms: float | None,
    json_output: bool,
) -> None:
    """Record view sets of BOX's cameras, with their timing, for training, scoring and replay."""
    config = recording_config(box, overrides, every_ms)
    errors = Console(stderr=True, highlight=False)
    kept = 0
    lost = 0
    for recorded in record_sets(config, count, output):
        if json_output:
            print_json(asdict(recorded))
        elif recorded.why:
            errors.print(f"not kept: {recorded.why}", markup=False)
        kept += bool(recorded.part)
        lost += not recorded.part
    if not json_output:
        text = f"{output}: {kept} view sets recorded, {lost} not kept"
        Console(highlight=False).print(text, markup=False, soft_wrap=True)
