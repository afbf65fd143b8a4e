"""What ``edgeflow cameras`` and ``edgeflow record`` print."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from rich.console import Console

from edgeflow.cameras.discovery import attached_cameras
from edgeflow.capture.recorder import record, recording_config, snapshot
from edgeflow.cli.output import print_json

__all__ = ["list_cameras", "record_sets", "take_snapshot"]


def list_cameras(*, json_output: bool) -> None:
    """Print what is attached, as the ``cameras`` section of a box file."""
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


def take_snapshot(
    box: Path, *, output: Path, overrides: tuple[str, ...], every_ms: float | None, json_output: bool
) -> None:
    """Save one view set and say how well it belongs together."""
    config = recording_config(box, overrides, every_ms)
    taken = snapshot(config, output)
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


def record_sets(
    box: Path,
    *,
    count: int,
    output: Path,
    overrides: tuple[str, ...],
    every_ms: float | None,
    json_output: bool,
) -> None:
    """Record, one line per view set that was not kept, and a sum."""
    config = recording_config(box, overrides, every_ms)
    errors = Console(stderr=True, highlight=False)
    kept = 0
    lost = 0
    for recorded in record(config, count, output):
        if json_output:
            print_json(asdict(recorded))
        elif recorded.why:
            errors.print(f"not kept: {recorded.why}", markup=False)
        kept += bool(recorded.part)
        lost += not recorded.part
    if not json_output:
        text = f"{output}: {kept} view sets recorded, {lost} not kept"
        Console(highlight=False).print(text, markup=False, soft_wrap=True)
