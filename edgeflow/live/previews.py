"""Small pictures of one part: its views and their heat maps as JPEG. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass

import cv2

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result
from edgeflow.contracts.scoring import FloatArray
from edgeflow.scoring.heatmap import heat_overlay

__all__ = ["LivePart", "previews"]

_LONG_SIDE = 320
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]


@dataclass(frozen=True, kw_only=True)
class LivePart:
    """A finished part with what can be shown of it; the arrays are not copied.

    Attributes:
        images: view → uint8 (H, W, 3), red first; the model's image; without scores the camera's.
        maps: view → float32 (h, w), raw; a view that was not scored is absent.
        scales: view → its scale, for every view in ``maps``.
    """

    result: Result
    images: Mapping[str, RgbImage]
    maps: Mapping[str, FloatArray]
    scales: Mapping[str, Scale]


def previews(part: LivePart) -> dict[str, dict[str, str]]:
    """Return view → ``image`` and, where there is a map, ``heat``: JPEG, base64, at most 320 pixels wide."""
    found: dict[str, dict[str, str]] = {}
    for view, image in part.images.items():
        small = _small(image)
        found[view] = {"image": _jpeg(small)}
        if view in part.maps:
            found[view]["heat"] = _jpeg(heat_overlay(small, part.maps[view], part.scales[view]))
    return found


def _small(image: RgbImage) -> RgbImage:
    """Return a copy whose longer side has 320 pixels at most."""
    height, width = image.shape[:2]
    factor = min(1.0, _LONG_SIDE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    if max(height, width) > 4 * _LONG_SIDE:  # every pixel of a camera's image would cost more than it shows
        step = max(height, width) // (2 * _LONG_SIDE)
        image = image[::step, ::step]
    small: RgbImage = cv2.resize(image, size, interpolation=cv2.INTER_AREA).astype("uint8", copy=False)
    return small


def _jpeg(image: RgbImage) -> str:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _QUALITY)
    return b64encode(data.tobytes()).decode()
