"""What ``edgeflow evidence`` finds and prints."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import click
import cv2
import numpy as np

from edgeflow.cli.output import print_json
from edgeflow.config.box import load_config
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import ConfigError, DataError, StorageError
from edgeflow.evidence.retention import kept_parts

__all__ = ["list_parts", "show"]

_TILE = 256
_CAPTION = 28
_JOIN_THE_GROUP = "run this as the box's user, or as one of its group"


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    folder: Path
    size: int
    result: Result


def list_parts(box: Path, *, verdict: str | None, count: int, json_output: bool) -> None:
    """Print the latest parts, newest first.

    Raises:
        ConfigError: the box file, or it keeps no evidence.
    """
    found = list(islice((one for one in _evidence(box) if verdict in (None, one.result.verdict)), count))
    for one in found:
        result = one.result
        if json_output:
            print_json({"folder": str(one.folder), "bytes": one.size, **_brief(result)})
            continue
        score = "  –  " if result.score is None else f"{result.score:5.2f}"
        click.echo(
            f"{result.decided_at[:19]}Z  {result.verdict:9} {score}  {result.part_id}  {result.reason}"
        )
    if not found and not json_output:
        click.echo("no part was kept")


def show(part: str, box: Path, *, output: Path | None, json_output: bool) -> None:
    """Print one part's record, the latest of this name; write its overview where asked.

    Raises:
        ConfigError: the box file, or it keeps no evidence.
        DataError: no such part was kept.
        StorageError: the overview cannot be written.
    """
    found = next((one for one in _evidence(box) if part in (one.result.part_id, one.result.result_id)), None)
    if found is None:
        raise DataError(f"part {part}: not kept here; 'edgeflow evidence list {box}' says which parts are")
    files = sorted(file for file in found.folder.iterdir() if file.name != "result.json")
    if output is not None:
        _write_overview(found, output)
    if json_output:
        record = found.result.model_dump(mode="json", by_alias=True)
        print_json({"folder": str(found.folder), "files": [file.name for file in files], "result": record})
        return
    result = found.result
    click.echo(f"{result.part_id}: {result.verdict} {result.reason}".rstrip())
    click.echo(f"decided {result.decided_at} by {result.bundle.name} {result.bundle.precision}")
    for view in result.views:
        score = "not scored" if view.score is None else f"score {view.score:.3f}"
        click.echo(f"  {view.id}: {score}, {len(view.regions)} regions over the threshold")
    click.echo(f"{found.folder}: {', '.join(file.name for file in files)}")


def _evidence(box: Path) -> Iterator[_Evidence]:
    """Everything kept, newest first; a folder that goes meanwhile is left out, and closed ones are told.

    Raises:
        ConfigError: the box file, or it keeps no evidence.
        StorageError: the evidence is another user's.
    """
    config = load_config(box).evidence
    if config is None:
        raise ConfigError(f"{box}: keeps no evidence; give it a section 'evidence'")
    _tell_closed_folders(config.dir)
    for kept in reversed(kept_parts(config.dir)):
        try:
            result = from_json(Result, (kept.folder / "result.json").read_bytes())
        except (OSError, DataError):
            continue
        yield _Evidence(folder=kept.folder, size=kept.size, result=result)


def _tell_closed_folders(root: Path) -> None:
    """Evidence that this user may not look into is not the same as none."""
    try:
        folders = [folder for day in root.iterdir() for folder in (day, *_inside(day)) if folder.is_dir()]
        closed = [folder for folder in folders if not os.access(folder, os.R_OK | os.X_OK)]
    except FileNotFoundError:
        return
    except OSError as cause:
        raise StorageError(
            f"evidence.dir {root}: cannot be read: {cause.strerror}; {_JOIN_THE_GROUP}"
        ) from cause
    if closed:
        text = f"{len(closed)} folders such as {closed[0]} are closed to this user; {_JOIN_THE_GROUP}"
        click.echo(f"note: {text}", err=True)


def _inside(day: Path) -> list[Path]:
    try:
        return list(day.iterdir())
    except OSError:
        return []


def _brief(result: Result) -> dict[str, object]:
    names = ("result_id", "part_id", "verdict", "reason", "score", "decided_at")
    return {name: getattr(result, name) for name in names}


def _write_overview(found: _Evidence, output: Path) -> None:
    """One row per view: the camera's image and its heat, side by side."""
    rows = [
        row for view in found.result.views if (row := _row(found.folder, view.id, view.score)) is not None
    ]
    if not rows:
        raise DataError(f"{found.folder}: holds no images")
    _, data = cv2.imencode(".png", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
    try:
        output.write_bytes(data.tobytes())
    except OSError as cause:
        raise StorageError(f"{output}: cannot be written: {cause.strerror}") from cause


def _row(folder: Path, view: str, score: float | None) -> RgbImage | None:
    original, heat = folder / f"{view}.png", folder / f"{view}_heat.png"
    if not original.is_file():
        return None
    blank = np.zeros((_TILE, _TILE, 3), np.uint8)
    tiles = [_tile(read_image(original)), _tile(read_image(heat)) if heat.is_file() else blank]
    caption = np.zeros((_CAPTION, 2 * _TILE, 3), np.uint8)
    text = view if score is None else f"{view}  {score:.2f}"
    cv2.putText(caption, text, (6, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return np.vstack([caption, np.hstack(tiles)])


def _tile(image: RgbImage) -> RgbImage:
    """The image within a square, its sides in proportion."""
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile
