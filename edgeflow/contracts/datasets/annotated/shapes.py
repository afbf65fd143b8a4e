"""COCO segmentations to pixels: polygons, and run lengths as numbers or as text."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.contracts.image_files.masks import Mask

__all__ = ["decode_run_lengths", "draw_polygon", "run_lengths_of"]

_MORE, _SIGN, _VALUE = 0x20, 0x10, 0x1F
_FIRST = 48  # text is shifted to printable characters
_DELTA_FROM = 3  # from the fourth on, a length is told as its difference to the one before the last
_MOST_BITS = 60
_CROSSINGS_AT_ONCE = 1 << 20


def draw_polygon(mask: Mask, points: npt.NDArray[np.float32]) -> None:
    """Mark a polygon: the pixels whose centres lie inside it by the even-odd rule.

    One that is too thin to hold any pixel's centre marks the pixels under its outline.

    Args:
        mask: bool (H, W), changed in place.
        points: (n, 2), x and y in pixels; 0, 0 is the image's upper left corner, not a pixel's centre.
    """
    inside = _inside(points.astype(np.float64), mask.shape[0], mask.shape[1])
    if inside is not None and inside[1].any():
        (top, left), pixels = inside
        mask[top : top + pixels.shape[0], left : left + pixels.shape[1]] |= pixels
        return
    outline = np.zeros(mask.shape, np.uint8)
    corners = np.floor(np.clip(points, -1, max(mask.shape))).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(outline, [corners], isClosed=True, color=1)
    mask |= outline > 0


def _inside(points: npt.NDArray[np.float64], height: int, width: int) -> tuple[tuple[int, int], Mask] | None:
    """The pixels of an image whose centres a polygon holds: row and column of the first, and the pixels.

    Every edge toggles what is right of it, in each row whose centres it crosses. None where it crosses none.
    """
    x, y = points[:, 0], points[:, 1]
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    # The centre of row r lies between the ends of an edge from first to last - 1.
    first = np.clip(np.ceil(np.minimum(y, next_y) - 0.5), 0, height).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(y, next_y) - 0.5), 0, height).astype(np.int64)
    rows = last - first
    crossing = np.flatnonzero(rows > 0)
    if not crossing.size:
        return None
    top, bottom = int(first[crossing].min()), int(last[crossing].max())
    left, right = (int(side) for side in np.clip([np.floor(x.min()), np.ceil(x.max()) + 1], 0, width))
    toggles = np.zeros((bottom - top, right - left + 1), np.int32)
    for some in np.array_split(crossing, 1 + int(rows[crossing].sum()) // _CROSSINGS_AT_ONCE):
        edge = np.repeat(some, rows[some])
        starts = np.cumsum(rows[some]) - rows[some]
        row = np.arange(edge.size) - np.repeat(starts, rows[some]) + first[edge]
        at = x[edge] + (row + 0.5 - y[edge]) / (next_y[edge] - y[edge]) * (next_x[edge] - x[edge])
        # A centre c + 0.5 is right of the edge from column ceil(at - 0.5) on.
        column = np.clip(np.ceil(at - 0.5), left, right).astype(np.int64)
        np.add.at(toggles, (row - top, column - left), 1)
    return (top, left), (np.cumsum(toggles, axis=1)[:, :-1] % 2).astype(np.bool_)


def run_lengths_of(text: str) -> list[int]:
    """Run lengths of COCO's compressed form.

    Each length is a number of five-bit groups, the lowest first, in characters from ``0`` on; from the fourth
    on it is the difference to the one before the last.

    Raises:
        ValueError: not such a text.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        group = ord(character) - _FIRST
        if not 0 <= group < 2 * _MORE or shift > _MOST_BITS:
            raise ValueError(f"'{character}' is no part of a compressed mask")
        value |= (group & _VALUE) << shift
        shift += 5
        if group & _MORE:
            continue
        if group & _SIGN:
            value -= 1 << shift
        lengths.append(value + (lengths[-2] if len(lengths) >= _DELTA_FROM else 0))
        value = shift = 0
    if shift:
        raise ValueError("a compressed mask ends in the middle of a number")
    return lengths


def decode_run_lengths(lengths: Sequence[int], size: tuple[int, int]) -> Mask:
    """Runs of unmarked and marked pixels, column after column, as a mask.

    Args:
        lengths: unmarked first.
        size: height and width.

    Raises:
        ValueError: negative lengths, or lengths that do not add up to the size.
    """
    height, width = size
    runs = np.asarray(lengths, np.int64)
    if runs.size and (runs.min() < 0 or runs.max() > height * width):
        raise ValueError(f"a run of {int(runs.min()) if runs.min() < 0 else int(runs.max())} pixels")
    if int(runs.sum()) != height * width:
        raise ValueError(f"runs of {int(runs.sum())} pixels in all, and not the {height * width} of its size")
    values = np.arange(runs.size) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)
