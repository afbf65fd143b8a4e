"""Synthetic defects: normal images with patches, scratches, stains, smears and erased regions."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.contracts.images import RgbImage

__all__ = ["KINDS", "add_defect", "vary"]

Float = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Generator = np.random.Generator
Box = tuple[int, int, int, int]  # top, left, height, width

_VISIBLE = 6  # grey levels: a weaker change is no defect that anybody could see
_PLACES = 8
_REACH = 4  # pixels


def add_defect(image: RgbImage, donor: RgbImage, rng: Generator) -> tuple[RgbImage, Mask, int]:
    """One synthetic defect on a normal image.

    Args:
        image: uint8 (H, W, 3).
        donor: another normal image of the same size; source of foreign texture.

    Returns:
        The changed image, the mask (H, W) of pixels that visibly changed, and the index into ``KINDS``.
    """
    kind = int(rng.integers(len(KINDS)))
    height, width = image.shape[:2]
    region = _REGIONS[kind](height, width, _place(image, rng), rng)
    if rng.random() < 0.6:  # soft edge
        region = cv2.GaussianBlur(region, (0, 0), float(rng.uniform(0.5, 2.0)))
    mask = np.zeros((height, width), np.bool_)
    x, y, w, h = cv2.boundingRect((region > 0.02).astype(np.uint8))
    if not w:
        return image, mask, kind
    box = (slice(y, y + h), slice(x, x + w))
    before, alpha = image[box], region[box][..., None] * np.float32(rng.uniform(0.5, 1.0))
    content = _CONTENTS[kind](image, donor, (y, x, h, w), rng)
    changed = image.copy()
    changed[box] = np.clip(before * (1 - alpha) + content * alpha + np.float32(0.5), 0, 255)
    # Averaged over a few pixels: noise taken away or added here and there is no outline.
    difference = cv2.blur(cv2.absdiff(changed[box], before).max(axis=2).astype(np.float32), (5, 5))
    mask[box] = (difference >= _VISIBLE) & (region[box] > 0.2)
    return changed, mask, kind


def vary(image: RgbImage, rng: Generator) -> RgbImage:
    """Variation that is no defect: brightness, contrast, tint, noise, a small shift and turn."""
    height, width = image.shape[:2]
    turn = cv2.getRotationMatrix2D(
        (width / 2, height / 2), float(rng.uniform(-2, 2)), rng.uniform(0.98, 1.02)
    )
    turn[:, 2] += rng.uniform(-0.02, 0.02, 2) * (width, height)
    moved = cv2.warpAffine(image, turn, (width, height), borderMode=cv2.BORDER_REFLECT)
    gain = rng.uniform(0.88, 1.12) * rng.uniform(0.98, 1.02, 3)
    varied = moved * gain.astype(np.float32) + np.float32(rng.uniform(-8, 8))
    if rng.random() < 0.5:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        varied += noise * np.float32(rng.uniform(0.5, 4))
    return np.asarray(np.clip(varied, 0, 255), np.uint8)


def _place(image: RgbImage, rng: Generator) -> tuple[float, float]:
    """A point x, y: anywhere, or on an outline of the part, where burrs, chips and loose parts are."""
    height, width = image.shape[:2]
    count = _PLACES if rng.random() < 0.6 else 1
    xs, ys = rng.integers(0, width, count), rng.integers(0, height, count)
    right, below = np.minimum(xs + _REACH, width - 1), np.minimum(ys + _REACH, height - 1)
    here = image[ys, xs].astype(np.float32)
    contrast = np.abs(image[ys, right] - here).sum(axis=1) + np.abs(image[below, xs] - here).sum(axis=1)
    best = int(contrast.argmax())
    return float(xs[best]), float(ys[best])


def _splinters(height: int, width: int, at: tuple[float, float], rng: Generator) -> Float:
    """A row of small jagged triangles, as burrs and chips are."""
    scale = min(height, width)
    along = rng.uniform(0, 2 * np.pi)
    step = np.array([np.cos(along), np.sin(along)]) * scale * rng.uniform(0.008, 0.02)
    count = int(rng.integers(2, 9))
    triangles = [
        np.round(at + step * (n - count / 2) + rng.normal(0, 0.012 * scale, (3, 2))).astype(np.int32)
        for n in range(count)
    ]
    region = np.zeros((height, width), np.float32)
    for triangle in triangles:
        cv2.fillConvexPoly(region, triangle, 1.0, cv2.LINE_AA)
    return region


def _rectangle(height: int, width: int, at: tuple[float, float], rng: Generator) -> Float:
    """A turned rectangle, 3 to 25 % of the image long, as (H, W) in 0..1."""
    size = rng.uniform(0.03, 0.25, 2) * min(height, width)
    corners = cv2.boxPoints((at, (float(size[0]), float(size[1])), float(rng.uniform(0, 180))))
    region = np.zeros((height, width), np.float32)
    cv2.fillConvexPoly(region, np.round(corners).astype(np.int32), 1.0, cv2.LINE_AA)
    return region


def _line(height: int, width: int, at: tuple[float, float], rng: Generator) -> Float:
    """Scratches: one or a few parallel thin lines that wander."""
    scale = min(height, width)
    steps, length = int(rng.integers(4, 12)), rng.uniform(0.05, 0.35) * scale
    angles = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, rng.choice([0.05, 0.5]), steps))
    path = np.cumsum(np.stack([np.cos(angles), np.sin(angles)], 1) * (length / steps), axis=0)
    points = np.round(path - path.mean(0) + at).astype(np.int32)
    region = np.zeros((height, width), np.float32)
    thickness = max(1, round(scale * float(rng.choice([0.004, 0.008, 0.012]))))
    apart = rng.uniform(0.01, 0.03, 2) * scale * rng.choice([-1, 1], 2)
    lines = [points + np.round(apart * n).astype(np.int32) for n in range(int(rng.choice([1, 1, 3, 5])))]
    cv2.polylines(region, lines, False, 1.0, thickness, cv2.LINE_AA)
    return region


def _blob(height: int, width: int, at: tuple[float, float], rng: Generator) -> Float:
    """A stain of irregular outline, 1 to 20 % of the image wide, small ones as frequent as large ones."""
    radius = float(np.exp(rng.uniform(np.log(0.008), np.log(0.1)))) * min(height, width)
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    outline = np.ones(48)
    for wave in range(1, 6):
        outline += rng.normal(0, 0.35 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radii = radius * np.clip(outline, 0.2, 2)
    stretch = rng.uniform(0.5, 1.0)
    points = np.stack([radii * np.cos(angles), radii * stretch * np.sin(angles)], 1) + at
    region = np.zeros((height, width), np.float32)
    cv2.fillPoly(region, [np.round(points).astype(np.int32)], 1.0, cv2.LINE_AA)
    return region


def _foreign(image: RgbImage, donor: RgbImage, box: Box, rng: Generator) -> Float:
    """Another place: of another part, of this one, or right beside, as if a detail were missing."""
    y, x, h, w = box
    free = image.shape[0] - h, image.shape[1] - w
    if rng.random() < 0.5:
        source = image
        shift = rng.uniform(0.5, 1.5, 2) * (h, w) * rng.choice([-1, 0, 1], 2)
        top, left = (int(np.clip(v, 0, f)) for v, f in zip((y + shift[0], x + shift[1]), free, strict=True))
    else:
        source = donor if rng.random() < 0.5 else image
        top, left = (int(rng.integers(0, f + 1)) for f in free)
    return np.asarray(source[top : top + h, left : left + w], np.float32)


def _colour(image: RgbImage, donor: RgbImage, box: Box, rng: Generator) -> Float:
    """One colour: dark, bright or any."""
    del image, donor
    choice = rng.random()
    if choice < 0.35:
        colour = rng.uniform(0, 60) * np.ones(3)
    elif choice < 0.6:
        colour = rng.uniform(180, 255) * np.ones(3)
    else:
        colour = rng.uniform(0, 255, 3)
    return np.broadcast_to(colour.astype(np.float32), (*box[2:], 3))


def _shade(image: RgbImage, donor: RgbImage, box: Box, rng: Generator) -> Float:
    """The same surface, darker, brighter or tinted."""
    del donor
    strength = rng.uniform(0.25, 0.6) * rng.choice([-1, 1])
    tint = rng.uniform(0.8, 1.2, 3) if rng.random() < 0.5 else np.ones(3)
    return np.asarray(np.clip(_crop(image, box) * ((1 + strength) * tint), 0, 255), np.float32)


def _bump(image: RgbImage, donor: RgbImage, box: Box, rng: Generator) -> Float:
    """A dent or bump: one flank catches the light, the other lies in the shade."""
    del donor
    _, _, h, w = box
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.linspace(-1, 1, h)[:, None], np.linspace(-1, 1, w)[None]
    slope = np.cos(angle) * columns + np.sin(angle) * rows
    light = 1 + rng.uniform(0.15, 0.6) * np.sin(slope * rng.uniform(1.5, 3.5))
    return np.asarray(np.clip(_crop(image, box) * light[..., None], 0, 255), np.float32)


def _grain(image: RgbImage, donor: RgbImage, box: Box, rng: Generator) -> Float:
    """The surface roughened by noise of random coarseness."""
    del donor
    _, _, h, w = box
    cell = int(rng.choice([1, 2, 4, 8]))
    noise = rng.standard_normal((h // cell + 1, w // cell + 1), dtype=np.float32)
    noise = cv2.resize(noise, (w, h), interpolation=cv2.INTER_LINEAR) * np.float32(rng.uniform(15, 50))
    return np.asarray(np.clip(_crop(image, box) + noise[..., None], 0, 255), np.float32)


def _smear(image: RgbImage, donor: RgbImage, box: Box, rng: Generator) -> Float:
    """The image dragged in one direction."""
    del donor
    length = max(5, int(rng.uniform(0.04, 0.12) * min(image.shape[:2])))
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    centre = (length - 1) / 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * centre
    start, end = np.round(centre - reach).astype(int), np.round(centre + reach).astype(int)
    cv2.line(kernel, (int(start[0]), int(start[1])), (int(end[0]), int(end[1])), 1.0)
    return np.asarray(cv2.filter2D(_crop(image, box), -1, kernel / kernel.sum()), np.float32)


def _erase(image: RgbImage, donor: RgbImage, box: Box, rng: Generator) -> Float:
    """Details gone: the image blurred beyond recognition."""
    del donor
    size = max(3, round(rng.uniform(0.04, 0.12) * min(image.shape[:2])))
    blurred = cv2.blur(cv2.blur(_crop(image, box), (size, size)), (size, size))
    return np.asarray(blurred, np.float32)


def _crop(image: RgbImage, box: Box) -> RgbImage:
    y, x, h, w = box
    return image[y : y + h, x : x + w]


_Region = Callable[[int, int, tuple[float, float], Generator], Float]
_Content = Callable[[RgbImage, RgbImage, Box, Generator], Float]

_TABLE: tuple[tuple[str, _Region, _Content], ...] = (
    ("patch", _rectangle, _foreign),
    ("graft", _blob, _foreign),
    ("scratch", _line, _colour),
    ("faint scratch", _line, _shade),
    ("spot", _blob, _colour),
    ("stain", _blob, _shade),
    ("dent", _blob, _bump),
    ("splinter", _splinters, _colour),
    ("rough", _blob, _grain),
    ("smear", _blob, _smear),
    ("erased", _rectangle, _erase),
)
KINDS = tuple(name for name, _, _ in _TABLE)
_REGIONS = tuple(region for _, region, _ in _TABLE)
_CONTENTS = tuple(content for _, _, content in _TABLE)
