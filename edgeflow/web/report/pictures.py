"""Small pictures of a part's evidence, as addresses that hold the picture itself."""

from __future__ import annotations

from base64 import b64encode

import cv2
import numpy as np

from edgeflow.config.box import BoxConfig
from edgeflow.history.records import PartRecord
from edgeflow.web.pages.pictures import picture_file

__all__ = ["small_pictures"]

_WIDTH = 240
_LARGEST = 100_000_000  # bytes
_QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 80)


def small_pictures(config: BoxConfig, part: PartRecord) -> tuple[str, ...]:
    """Return picture and heat map of the worst view as ``data:`` addresses, as far as they are kept."""
    view = part.row.worst_view or ""
    files = (picture_file(config, part, view, name) for name in ("original", "overlay"))
    found = (
        _small(file.read_bytes()) for file in files if file is not None and file.stat().st_size < _LARGEST
    )
    return tuple(address for address in found if address)


def _small(data: bytes) -> str:
    """Return a JPEG at most 240 pixels wide; empty where the file is damaged."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        return ""
    height, width = image.shape[:2]
    factor = min(1.0, _WIDTH / width)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small, _QUALITY)
    return f"data:image/jpeg;base64,{b64encode(jpeg.tobytes()).decode()}"
