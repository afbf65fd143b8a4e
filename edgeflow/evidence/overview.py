"""Kept parts read back from the disk, and one picture of a part: its views beside their heat maps."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.messages import Result, from_json
from edgeflow.errors import DataError, StorageError
from edgeflow.evidence.retention import kept_parts

__all__ = ["JOIN_THE_GROUP", "StoredPart", "closed_folders", "stored_parts", "write_overview"]

JOIN_THE_GROUP = "run this as the box's user, or as one of its group"
_TILE = 256
_CAPTION = 28


@dataclass(frozen=True, kw_only=True)
class StoredPart:
    """The kept evidence of one part.

    Attributes:
        size: bytes on the disk.
    """

    folder: Path
    size: int
    result: Result


def stored_parts(root: Path) -> Iterator[StoredPart]:
    """Yield the kept parts, newest first; a folder that is removed meanwhile is left out."""
    for kept in reversed(kept_parts(root)):
        try:
            result = from_json(Result, (kept.folder / "result.json").read_bytes())
        except (OSError, DataError):
            continue
        yield StoredPart(folder=kept.folder, size=kept.size, result=result)


def closed_folders(root: Path) -> list[Path]:
    """List the folders of evidence that this user may not read: they are not the same as no evidence.

    Raises:
        StorageError: the evidence is another user's.
    """
    try:
        folders = [folder for day in root.iterdir() for folder in (day, *_inside(day)) if folder.is_dir()]
        return [folder for folder in folders if not os.access(folder, os.R_OK | os.X_OK)]
    except FileNotFoundError:
        return []
    except OSError as cause:
        raise StorageError(
            f"evidence.dir {root}: cannot be read: {cause.strerror}; {JOIN_THE_GROUP}"
        ) from cause


def _inside(day: Path) -> list[Path]:
    try:
        return list(day.iterdir())
    except OSError:
        return []


def write_overview(found: StoredPart, output: Path) -> None:
    """Write a PNG with one row per view: the camera's image and its heat map side by side.

    Raises:
        DataError: no image of the part is kept.
        StorageError: the file cannot be written.
    """
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
    """Fit the image into a square and keep its proportions."""
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile
