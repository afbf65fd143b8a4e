"""Whether a camera still sees: pictures of different parts that are the same, byte by byte. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edgeflow.contracts.images import RgbImage

__all__ = ["Origin", "Repetition", "is_same_picture", "scene_changed"]

Origin = Literal["sensor", "pictures", "stream", "recording"]
"""Where a view's pictures come from.

``sensor``: raw pixels, whose noise is never twice the same. ``pictures``: each is compressed by itself, as in
MJPEG. ``stream``: compressed with a time of its own; what does not change is sent as such, so a still scene
can come out the same for seconds. ``recording``: may show the same part again and again.
"""

_PROBE_ROWS = 8
_SIDE = 16
_CHANGED = 4  # grey levels of a sixteenth of the picture: far above noise, which averages out there


@dataclass(kw_only=True)
class _Seen:
    image: RgbImage
    count: int = 1  # parts in a row with this picture


class Repetition:
    """Remembers each view's latest picture; one part after the other.

    Args:
        origins: view → where its pictures come from.
        most: so many parts in a row with one picture are a fault of compressed views.
    """

    def __init__(self, origins: Mapping[str, Origin], *, most: int) -> None:
        self._origins = origins
        self._most = most
        self._seen: dict[str, _Seen] = {}

    def frozen(self, images: Mapping[str, RgbImage]) -> tuple[str, ...]:
        """The views of the next part that do not see it; takes note of all its pictures.

        A sensor is frozen with the first repetition, compressed pictures with ``most`` in a row. A stream
        whose time goes on is so only where another view saw the scene change meanwhile.

        Args:
            images: view → uint8 (H, W, 3) as the camera gave it; absent views are passed over.
        """
        before = {view: self._seen[view].image for view in images if view in self._seen}
        for view, image in images.items():
            self._note(view, image)
        repeated = [view for view in images if self._seen[view].count >= self._limit(view)]
        streams = [view for view in repeated if self._origins[view] == "stream"]
        if streams and not self._others_changed(images, before):
            repeated = [view for view in repeated if view not in streams]
        return tuple(repeated)

    def _note(self, view: str, image: RgbImage) -> None:
        if self._origins.get(view, "recording") == "recording":
            self._seen[view] = _Seen(image=image)
            return
        seen = self._seen.get(view)
        if seen is not None and is_same_picture(seen.image, image):
            seen.count += 1
        else:
            self._seen[view] = _Seen(image=image)

    def _limit(self, view: str) -> int:
        return 2 if self._origins.get(view) == "sensor" else self._most

    def _others_changed(self, images: Mapping[str, RgbImage], before: Mapping[str, RgbImage]) -> bool:
        moving = [view for view in before if self._seen[view].count == 1]
        return any(scene_changed(before[view], images[view]) for view in moving)


def is_same_picture(one: RgbImage, other: RgbImage) -> bool:
    """Whether two pictures, uint8 (H, W, 3), are the same in every byte."""
    if one.shape != other.shape:
        return False
    step = max(1, len(one) // _PROBE_ROWS)  # different ones differ almost everywhere
    return bool(np.array_equal(one[::step], other[::step]) and np.array_equal(one, other))


def scene_changed(one: RgbImage, other: RgbImage) -> bool:
    """Whether two pictures of a view show more than noise of difference."""
    small = [cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA) for image in (one, other)]
    return bool(cv2.absdiff(small[0], small[1]).max() > _CHANGED)
