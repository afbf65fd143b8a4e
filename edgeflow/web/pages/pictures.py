"""Pictures of a part from its evidence: the camera's image, the overlay and the map alone."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.images import read_image
from edgeflow.errors import DataError
from edgeflow.history.records import PartRecord

__all__ = ["evidence_folder", "map_picture", "picture_file", "small_picture"]

_LARGEST_MAP = 64_000_000  # bytes
_SMALL = 240  # pixels
_ONE_LARGE_IMAGE = threading.Lock()


def evidence_folder(config: BoxConfig, record: PartRecord) -> Path | None:
    """Return the folder of a part's evidence; None where none was kept, or it has been removed."""
    if config.evidence is None or record.row.evidence is None:
        return None
    folder = Path(record.row.evidence)
    try:
        inside = folder.resolve().is_relative_to(config.evidence.dir.resolve())
    except OSError:
        return None
    return folder if inside and folder.is_dir() else None


def picture_file(config: BoxConfig, record: PartRecord, view: str, name: str) -> Path | None:
    """Return a file of a part's evidence; None where there is no such view or file.

    Args:
        name: ``original``, ``overlay``, ``map``, or ``small`` for the original of a small picture.
    """
    ends = {"original": ".png", "small": ".png", "overlay": "_heat.png", "map": "_map.npy"}
    folder = evidence_folder(config, record)
    if folder is None or name not in ends or view not in {one.view for one in record.views}:
        return None
    file = folder / f"{view}{ends[name]}"
    return file if file.is_file() and not file.is_symlink() else None


def small_picture(file: Path) -> bytes | None:
    """Return an image small, as JPEG; None where it is gone or damaged."""
    try:
        with _ONE_LARGE_IMAGE:
            image = read_image(file)
    except (DataError, OSError):
        return None
    scale = min(1.0, _SMALL / max(image.shape[:2]))
    small = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return data.tobytes()


def map_picture(file: Path, threshold: float | None) -> bytes | None:
    """Return an anomaly map as PNG, its colours ending at twice the threshold; None where it is damaged.

    Args:
        file: float32 (h, w), raw scores.
    """
    try:
        if file.stat().st_size > _LARGEST_MAP:
            return None
        values = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    if values.ndim != 2 or values.size == 0:
        return None
    largest = 2 * threshold if threshold and threshold > 0 else float(np.nanmax(values)) or 1.0
    levels = np.nan_to_num(np.clip(values / largest, 0.0, 1.0), nan=1.0)
    colours = cv2.applyColorMap(np.rint(levels * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    _, data = cv2.imencode(".png", colours)
    return data.tobytes()
