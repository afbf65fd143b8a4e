"""Anomaly maps made visible: heat over the image, and boxes around what is over the threshold."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Region
from edgeflow.contracts.scoring import FloatArray

__all__ = ["MAX_REGIONS", "THRESHOLD_LEVEL", "find_regions", "heat_overlay"]

MAX_REGIONS = 16
THRESHOLD_LEVEL = 128
"""Place of the threshold on the colour scale, of 255: the scale ends at twice the threshold."""

_HEAT_SHARE = 0.6
_SCALED_AT_THE_END = 255 / THRESHOLD_LEVEL


def heat_overlay(image: RgbImage, anomaly_map: FloatArray, scale: Scale) -> RgbImage:
    """The image with its anomaly map laid over it in colour.

    The colours are tied to the view's threshold, not to the map's own range: the same colour means
    the same scaled score in every picture, so that pictures of different parts can be compared.
    A value that is not a number gets the hottest colour: it must never look normal.

    Args:
        image: uint8 (H, W, 3), red first; the image that the map belongs to.
        anomaly_map: float32 (h, w), raw scores of any resolution.
        scale: the view's; its centre gets the coldest colour, its threshold ``THRESHOLD_LEVEL``.

    Returns:
        uint8 (H, W, 3), red first.
    """
    height, width = image.shape[:2]
    relative = (anomaly_map - scale.centre) / (scale.threshold - scale.centre)
    relative = np.nan_to_num(relative, nan=np.inf)
    levels = np.clip(relative / _SCALED_AT_THE_END, 0.0, 1.0).astype(np.float32)
    resized = cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR)
    heat = cv2.applyColorMap(np.rint(resized * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    # Fully laid on from the threshold up; below it ever thinner, so that normal surface stays visible.
    share = np.minimum(resized * np.float32(_HEAT_SHARE * _SCALED_AT_THE_END), np.float32(_HEAT_SHARE))
    mixed = cv2.blendLinear(image, cv2.cvtColor(heat, cv2.COLOR_BGR2RGB), 1 - share, share)
    return np.asarray(mixed, np.uint8)


def find_regions(
    anomaly_map: FloatArray, threshold: float, image_size: tuple[int, int]
) -> tuple[Region, ...]:
    """Boxes around connected map pixels over a threshold, highest first, at most ``MAX_REGIONS``.

    Args:
        anomaly_map: float32 (h, w), raw scores; values that are not finite are in no region.
        threshold: the view's raw threshold.
        image_size: (height, width) of the model image, in whose pixels the boxes are.
    """
    finite = np.where(np.isfinite(anomaly_map), anomaly_map, -np.inf)
    over = (finite > threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(over, connectivity=8)
    peaks = np.full(count, -np.inf)
    np.maximum.at(peaks, labels.ravel(), finite.ravel())
    found = sorted(range(1, count), key=lambda label: -peaks[label])[:MAX_REGIONS]
    per_pixel = (image_size[0] / anomaly_map.shape[0], image_size[1] / anomaly_map.shape[1])
    return tuple(_region(stats[label], per_pixel, float(peaks[label])) for label in found)


def _region(stat: npt.NDArray[np.int32], per_pixel: tuple[float, float], peak: float) -> Region:
    left, top, width, height = (int(value) for value in stat[:4])
    x, y = int(left * per_pixel[1]), int(top * per_pixel[0])
    right, bottom = int(np.ceil((left + width) * per_pixel[1])), int(np.ceil((top + height) * per_pixel[0]))
    return Region(x=x, y=y, width=right - x, height=bottom - y, score_raw=peak)
