"""Small pictures of one part: its views and their heat maps as JPEG. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result
from edgeflow.contracts.scoring import FloatArray
from edgeflow.monitoring.view_appearance import Baseline
from edgeflow.monitoring.view_figures import view_figures
from edgeflow.scoring.heatmap import heat_overlay

__all__ = ["LivePart", "previews"]

_LONG_SIDE = 320
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 80]


@dataclass(frozen=True, kw_only=True)
class LivePart:
    """A finished part with what can be shown of it; the arrays are not copied.

    Attributes:
        result: None of images that are only looked at, before the line runs.
        number: of such images.
        images: view → uint8 (H, W, 3), red first; the model's image; without scores the camera's.
        maps: view → float32 (h, w), raw; a view that was not scored is absent.
        scales: view → its scale, for every view in ``maps``.
        baseline: golden images, with whose figures those of these images are compared; None: there are none.
    """

    result: Result | None
    images: Mapping[str, RgbImage]
    maps: Mapping[str, FloatArray]
    scales: Mapping[str, Scale]
    number: int = 0
    baseline: Baseline | None = None

    @property
    def is_ok(self) -> bool:
        """True if nothing is lost where another part is shown instead."""
        return self.result is None or self.result.verdict == "OK"

    @property
    def about(self) -> dict[str, str]:
        """Ids and verdict, as the stream says them."""
        if self.result is None:
            return {"result_id": f"look-{self.number}", "part_id": "", "verdict": ""}
        names = ("result_id", "part_id", "verdict")
        return {name: getattr(self.result, name) for name in names}


def previews(part: LivePart, give_way: Callable[[], None] = lambda: None) -> dict[str, dict[str, Any]]:
    """Return view → ``image`` and, where there is a map, ``heat``: JPEG, base64, at most 320 pixels wide.

    Of images that can be compared, or are only looked at, also ``figures``, see
    :func:`~edgeflow.monitoring.view_figures.view_figures`.

    Args:
        give_way: called before every view, which takes about a millisecond of a processor.
    """
    found: dict[str, dict[str, Any]] = {}
    for view, image in part.images.items():
        give_way()
        small = _small(image)
        found[view] = {"image": _jpeg(small)}
        if part.baseline is not None or part.result is None:
            found[view]["figures"] = view_figures(image, view, part.baseline)
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
