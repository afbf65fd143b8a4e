"""The camera's part in a picture: contact shadows, lens, exposure and noise; and what differs between two."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from rendering.studio import SUPERSAMPLING, Shot
from rendering.variation import Exposure

__all__ = ["CHANGE_LEVELS", "changed", "encode", "expose", "least_pixels"]

GAMMA = 2.2
CHANGE_LEVELS = 12
"""From this many of 256 grey levels on, in any colour, two pictures of a pixel count as different."""
_LINEAR = (np.arange(256, dtype=np.float32) / 255.0) ** np.float32(GAMMA)

Image = NDArray[np.float32]


def expose(shot: Shot, exposure: Exposure) -> Image:
    """The light on the sensor, linear (size, size, 3) with 1.0 at saturation, before noise."""
    light = 0.9 * _LINEAR[shot.colour] * _open_sky(shot.depth_mm)[..., None]
    side = shot.colour.shape[0] // SUPERSAMPLING
    light = cv2.resize(light, (side, side), interpolation=cv2.INTER_AREA)
    light = cv2.GaussianBlur(light, (0, 0), exposure.blur_px * side / 256)
    gains = np.asarray(exposure.balance, dtype=np.float32) * np.float32(exposure.gain)
    return np.asarray(light * _vignette(side)[..., None] * gains, dtype=np.float32)


def encode(light: Image, *, noise_seed: int | None) -> NDArray[np.uint8]:
    """The picture as the camera hands it out, gamma-coded; without a seed, as if it had no noise."""
    if noise_seed is not None:
        noise = np.random.default_rng(noise_seed).standard_normal(light.shape, dtype=np.float32)
        light = light + noise * np.sqrt(np.maximum(light, 0.0) * np.float32(2.0e-4) + np.float32(2.5e-6))
    code = np.rint(np.clip(light, 0.0, 1.0) ** np.float32(1 / GAMMA) * 255)
    return np.asarray(code, dtype=np.uint8)


def least_pixels(size: int) -> int:
    """From this many changed pixels on, a defect counts as visible: 12 at 256 × 256."""
    return max(4, round(12 * (size / 256) ** 2))


def changed(before: Image, after: Image) -> NDArray[np.uint8]:
    """Mask of visible differences of two pictures (size, size, 3): 255, else 0; none below `least_pixels`."""
    pair = encode(before, noise_seed=None), encode(after, noise_seed=None)
    mask = (cv2.absdiff(*pair).max(axis=2) >= CHANGE_LEVELS).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    keep = stats[:, cv2.CC_STAT_AREA] >= 4
    keep[0] = False
    mask = np.where(keep[labels], np.uint8(255), np.uint8(0))
    if np.count_nonzero(mask) < least_pixels(len(mask)):
        mask[:] = 0
    return np.asarray(mask)


def _open_sky(depth_mm: Image) -> Image:
    """The share (h, w) of the dome's light that reaches each place: less in holes and beside the part."""
    share = np.ones_like(depth_mm)
    for reach, range_mm, strength in ((0.010, 3.0, 0.35), (0.028, 8.0, 0.35), (0.075, 20.0, 0.35)):
        side = max(3, round(reach * depth_mm.shape[0]) * 2 + 1)
        around = cv2.blur(depth_mm, (side, side), borderType=cv2.BORDER_REPLICATE)
        around = cv2.blur(around, (side, side), borderType=cv2.BORDER_REPLICATE)
        share *= 1 - strength * np.clip((depth_mm - around) / np.float32(range_mm), 0.0, 1.0)
    return share


def _vignette(side: int) -> Image:
    axis = np.linspace(-1.0, 1.0, side, dtype=np.float32)
    return np.asarray(1 - np.float32(0.06) * (axis[:, None] ** 2 + axis[None, :] ** 2))
