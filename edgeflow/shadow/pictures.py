"""One small picture of a part as a candidate sees it: each view beside its heat map."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Manifest, Thresholds
from edgeflow.contracts.scoring import scaled
from edgeflow.errors import StorageError
from edgeflow.files import replace_atomically
from edgeflow.scoring.heatmap import heat_overlay
from edgeflow.scoring.scorer import Scores

__all__ = ["write_picture"]

_TILE = 192
_CAPTION = 22
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 85]


def write_picture(path: Path, scores: Scores, manifest: Manifest, thresholds: Thresholds) -> None:
    """Write a JPEG with one row per view: the model's image, and the candidate's map over it.

    Raises:
        StorageError: the file cannot be written.
    """
    rows = [
        np.vstack([_caption(view, scaled(scores.views[view], thresholds.views[view])), _pair(image, overlay)])
        for view, image, heat in zip(manifest.view_ids, scores.inputs, scores.maps, strict=True)
        if view in scores.views
        for overlay in [heat_overlay(image, heat, thresholds.views[view])]
    ]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), _QUALITY)
    try:
        with replace_atomically(path) as file:
            file.write(data.tobytes())
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; make room there") from cause


def _pair(image: RgbImage, overlay: RgbImage) -> RgbImage:
    return np.hstack([_tile(image), _tile(overlay)])


def _tile(image: RgbImage) -> RgbImage:
    height, width = image.shape[:2]
    scale = _TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small
    return tile


def _caption(view: str, score: float) -> RgbImage:
    line = np.zeros((_CAPTION, 2 * _TILE, 3), np.uint8)
    text = f"{view}  {score:.2f}"
    cv2.putText(line, text, (5, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return line
