"""Detection of frozen cameras: equal pictures of different parts. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.contracts.images import RgbImage

__all__ = ["FrozenViewDetector", "Origin", "difference", "is_same_picture", "scene_changed"]

Origin = Literal["sensor", "pictures", "stream", "recording"]
"""Source of a view's pictures.

``sensor``: raw pixels, whose noise is never twice the same. ``pictures``: each is compressed by itself, as in
MJPEG. ``stream``: compressed with a time of its own; what does not change is sent as such, so a still scene
can come out the same for seconds. ``recording``: may show the same part again and again.
"""

_PROBE_ROWS = 8
_SIDE = 32
_CHANGED = 4  # grey levels of a block of the picture: far above noise, which averages out there
_SHARE = 0.25  # of what parts differ by; an encoder refines a picture that stands still by far less
_MOST_REFINED = 1.0  # grey levels
_LEAST_VARIETY = 2.0  # grey levels; parts that differ by less tell nothing


@dataclass(kw_only=True)
class _Run:
    """Parts in a row with one picture.

    Attributes:
        image: as the camera gave it for the first of them.
        small: the same for a stream, reduced.
    """

    image: RgbImage
    small: npt.NDArray[Any] | None = None
    count: int = 1


class FrozenViewDetector:
    """Detects frozen views from each view's latest picture, part by part.

    A sensor is frozen with the first repetition, byte by byte; pictures that are compressed one by one, with
    ``most`` in a row. Where a sensor stops before an encoder, its stream goes on with pictures that differ
    only in how fine they are. So a stream is frozen where it stood still for ``most`` parts although parts
    differ in this view, and another view saw the scene change with every one of them.

    Args:
        origins: view → where its pictures come from.
        most: so many parts in a row with one picture are a fault of compressed views.
    """

    def __init__(self, origins: Mapping[str, Origin], *, most: int) -> None:
        self._origins = origins
        self._most = most
        self._runs: dict[str, _Run] = {}
        self._seen: dict[str, RgbImage] = {}

    def frozen(
        self,
        images: Mapping[str, RgbImage],
        seen: Mapping[str, RgbImage],
        variety: Mapping[str, float],
    ) -> tuple[str, ...]:
        """Take the pictures of the next part; return the views that are frozen.

        Args:
            images: view → uint8 (H, W, 3) as the camera gave it; absent views are passed over.
            seen: view → the model's image of it; streams are judged only with these.
            variety: view → :func:`difference` of the two golden parts that differ least in it.
        """
        for view, image in images.items():
            if self._origins.get(view) in ("sensor", "pictures"):
                self._note(view, image)
        streams = [view for view in seen if self._origins.get(view) == "stream"]
        still = {view for view in streams if self._stands_still(view, images[view], seen, variety)}
        if still and self._scene_changed(seen, still):
            for view in still:
                self._runs[view].count += 1
        self._seen.update(seen)
        judged = [view for view in images if view in self._runs]
        return tuple(view for view in judged if self._runs[view].count >= self._limit(view))

    def _note(self, view: str, image: RgbImage) -> None:
        run = self._runs.get(view)
        if run is not None and is_same_picture(run.image, image):
            run.count += 1
        else:
            self._runs[view] = _Run(image=image)

    def _stands_still(
        self, view: str, image: RgbImage, seen: Mapping[str, RgbImage], variety: Mapping[str, float]
    ) -> bool:
        """Return True when a stream repeats its earlier picture; otherwise begin a new run."""
        small, run = _small(seen[view]), self._runs.get(view)
        if run is not None and run.small is not None:
            varied = variety.get(view, 0.0)
            limit = min(_MOST_REFINED, _SHARE * varied) if varied >= _LEAST_VARIETY else 0.0
            if _apart(run.small, small) < limit or is_same_picture(run.image, image):
                return True
        self._runs[view] = _Run(image=image, small=small)
        return False

    def _limit(self, view: str) -> int:
        return 2 if self._origins.get(view) == "sensor" else self._most

    def _scene_changed(self, seen: Mapping[str, RgbImage], still: set[str]) -> bool:
        others = [view for view in seen if view in self._seen and view not in still]
        return any(scene_changed(self._seen[view], seen[view]) for view in others)


def is_same_picture(one: RgbImage, other: RgbImage) -> bool:
    """Return True when two pictures, uint8 (H, W, 3), are equal in every byte."""
    if one.shape != other.shape:
        return False
    step = max(1, len(one) // _PROBE_ROWS)  # different ones differ almost everywhere
    return bool(np.array_equal(one[::step], other[::step]) and np.array_equal(one, other))


def difference(one: RgbImage, other: RgbImage) -> float:
    """Mean difference of two pictures of a view in grey levels, without their finest detail."""
    return _apart(_small(one), _small(other))


def scene_changed(one: RgbImage, other: RgbImage) -> bool:
    """Return True when two pictures of a view differ somewhere by more than noise."""
    small = [
        cv2.resize(_small(image), (_SIDE // 2, _SIDE // 2), interpolation=cv2.INTER_AREA)
        for image in (one, other)
    ]
    return bool(cv2.absdiff(small[0], small[1]).max() > _CHANGED)


def _small(image: RgbImage) -> npt.NDArray[Any]:
    return np.asarray(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA))


def _apart(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    return float(cv2.norm(one, other, cv2.NORM_L1)) / one.size
