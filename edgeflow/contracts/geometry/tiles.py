"""A model image cut into tiles that overlap, and what was computed of the tiles joined again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.thresholds import Count, Positive

__all__ = ["MOST_IN_A_ROW", "Span", "TileGrid", "Tiles"]

MOST_IN_A_ROW = 32
"""Tiles along one axis: each tile is cut and joined by operations of its own in the graph."""


class Tiles(Document):
    """Tiles of every view's model image: the network sees one at a time, at its full resolution."""

    height: Positive = Field(description="of a tile, in pixels of the model image")
    width: Positive = Field(description="of a tile, in pixels of the model image")
    overlap: Count = Field(default=0, description="of neighbours, in pixels; less than half a tile")


@dataclass(frozen=True, kw_only=True)
class Span:
    """One tile along one axis.

    Attributes:
        start, stop: of the tile.
        kept_start, kept_stop: of what is taken from it; the overlap is shared in the middle.
    """

    start: int
    stop: int
    kept_start: int
    kept_stop: int

    @property
    def kept(self) -> slice:
        """Pixels that are taken from the tile, counted from its own start."""
        return slice(self.kept_start - self.start, self.kept_stop - self.start)


@dataclass(frozen=True, kw_only=True)
class TileGrid:
    """Tiles row after row; every pixel is taken from the tile whose border is farthest from it."""

    rows: tuple[Span, ...]
    columns: tuple[Span, ...]

    @classmethod
    def of(cls, tiles: Tiles, height: int, width: int) -> TileGrid:
        """The grid of an image of this size.

        Raises:
            ValueError: tiles larger than the image, an overlap of half a tile or more, a border that no
                tile covers, or more than ``MOST_IN_A_ROW``; says what would fit.
        """
        return cls(
            rows=_spans("height", height, tiles.height, tiles.overlap),
            columns=_spans("width", width, tiles.width, tiles.overlap),
        )

    def at_stride(self, stride: tuple[int, int]) -> TileGrid:
        """Return this grid on a map with one pixel for ``stride`` (rows, columns) pixels of the image.

        Raises:
            ValueError: a tile does not begin at a pixel of the map.
        """
        return TileGrid(
            rows=_strided("height", self.rows, stride[0]), columns=_strided("width", self.columns, stride[1])
        )

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is cut and joined."""
        return self.rows[-1].stop, self.columns[-1].stop

    @property
    def places(self) -> tuple[tuple[Span, Span], ...]:
        """Row and column of every tile, row after row."""
        return tuple((row, column) for row in self.rows for column in self.columns)

    def cut(self, image: npt.NDArray[np.uint8]) -> list[npt.NDArray[np.uint8]]:
        """The tiles of an image (H, W, ...), row after row."""
        return [image[row.start : row.stop, column.start : column.stop] for row, column in self.places]

    def joined(self, tiles: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        """One map (..., H, W) from those of the tiles (..., h, w), row after row."""
        if len(tiles) != len(self):
            raise ValueError(f"{len(tiles)} tiles for a grid of {len(self)}")
        kept = [
            tile[..., row.kept, column.kept] for tile, (row, column) in zip(tiles, self.places, strict=True)
        ]
        across = len(self.columns)
        rows = [np.concatenate(kept[place : place + across], -1) for place in range(0, len(kept), across)]
        return np.concatenate(rows, -2)


def _spans(axis: str, length: int, tile: int, overlap: int) -> tuple[Span, ...]:
    if tile > length:
        raise ValueError(f"tiles: a {axis} of {tile} is more than the image's {length} pixels")
    if 2 * overlap >= tile:
        raise ValueError(f"tiles: an overlap of {overlap} is half of the tiles' {axis} of {tile} or more")
    step = tile - overlap
    count, border = divmod(length - tile, step)
    if border:
        less, more = tile + count * step, tile + (count + 1) * step
        raise ValueError(
            f"tiles: a {axis} of {tile} and an overlap of {overlap} leave a border of {border} of {length} "
            f"pixels uncovered; take an image {axis} of {less} or {more}"
        )
    if count >= MOST_IN_A_ROW:
        raise ValueError(
            f"tiles: {count + 1} tiles along the image's {axis} are more than the {MOST_IN_A_ROW} that a "
            "graph may hold; take larger tiles, or a smaller image"
        )
    starts = [index * step for index in range(count + 1)]
    cuts = [0, *(start + (overlap + 1) // 2 for start in starts[1:]), length]
    return _between(starts, tile, cuts)


def _strided(axis: str, spans: Sequence[Span], stride: int) -> tuple[Span, ...]:
    tile = spans[0].stop - spans[0].start
    starts = [span.start for span in spans]
    if tile % stride or any(start % stride for start in starts):
        raise ValueError(
            f"tiles: the network's map has one pixel for {stride} of the image, and tiles with a {axis} of "
            f"{tile} that begin every {starts[-1] // max(1, len(spans) - 1)} do not begin at its pixels; "
            f"take a tile {axis} and an overlap that are multiples of {stride}"
        )
    length = spans[-1].stop // stride
    shared = (spans[0].stop - starts[1]) // stride if len(spans) > 1 else 0
    starts = [start // stride for start in starts]
    cuts = [0, *(start + (shared + 1) // 2 for start in starts[1:]), length]
    return _between(starts, tile // stride, cuts)


def _between(starts: Sequence[int], tile: int, cuts: Sequence[int]) -> tuple[Span, ...]:
    return tuple(
        Span(start=start, stop=start + tile, kept_start=begin, kept_stop=end)
        for start, begin, end in zip(starts, cuts, cuts[1:], strict=False)
    )
