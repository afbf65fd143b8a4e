"""Tiles: every pixel once, from the tile that sees it best; what leaves a border is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeflow.contracts.geometry.tiles import TileGrid, Tiles
from edgeflow.contracts.manifest import Preprocessing


@st.composite
def grids(draw: st.DrawFn) -> TileGrid:
    stride = draw(st.integers(1, 4))
    overlap = draw(st.integers(0, 3))
    height, width = (stride * draw(st.integers(2 * overlap + 1, 9)) for _ in range(2))
    overlap *= stride
    size = [side + draw(st.integers(0, 3)) * (side - overlap) for side in (height, width)]
    grid = TileGrid.of(Tiles(height=height, width=width, overlap=overlap), *size)
    return grid.at_stride((stride, stride))


@given(grids())
def test_cut_and_joined_is_the_whole(grid: TileGrid) -> None:
    whole = np.arange(grid.size[0] * grid.size[1], dtype=np.float32).reshape(grid.size)
    pieces = [whole[row.start : row.stop, column.start : column.stop] for row, column in grid.places]
    assert len({piece.shape for piece in pieces}) == 1
    np.testing.assert_array_equal(grid.joined(pieces), whole)


@given(grids())
def test_a_pixel_comes_from_the_tile_whose_border_is_farthest(grid: TileGrid) -> None:
    for spans in (grid.rows, grid.columns):
        for pixel in range(spans[-1].stop):
            (owner,) = (span for span in spans if span.kept_start <= pixel < span.kept_stop)
            # The image's own border is none.
            depths = {
                span: min(
                    pixel - span.start if span is not spans[0] else pixel + span.stop,
                    span.stop - 1 - pixel if span is not spans[-1] else span.stop,
                )
                for span in spans
                if span.start <= pixel < span.stop
            }
            assert depths[owner] >= max(depths.values()) - 1


def test_tiles_are_cut_row_after_row() -> None:
    grid = TileGrid.of(Tiles(height=4, width=6, overlap=1), 7, 16)
    assert (len(grid), len(grid.rows), len(grid.columns)) == (6, 2, 3)
    image = np.random.default_rng(0).integers(0, 256, (7, 16, 3), dtype=np.uint8)
    np.testing.assert_array_equal(grid.cut(image)[4], image[3:7, 5:11])


@pytest.mark.parametrize(
    ("tiles", "what"),
    [
        (
            Tiles(height=256, width=256, overlap=32),
            "leave a border of 72 of 1000 pixels uncovered; take an image",
        ),
        (Tiles(height=256, width=1001), "a width of 1001 is more than the image's 1000 pixels"),
        (
            Tiles(height=1024, width=20, overlap=10),
            "an overlap of 10 is half of the tiles' width of 20 or more",
        ),
        (Tiles(height=1024, width=20), "50 tiles along the image's width are more than the 32"),
    ],
)
def test_tiles_that_do_not_fit_are_refused(tiles: Tiles, what: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(what)):
        Preprocessing(height=1024 if tiles.overlap != 32 else 256, width=1000, tiles=tiles)


def test_the_image_size_that_is_proposed_fits() -> None:
    with pytest.raises(ValueError, match="take an image width of 928 or 1152"):
        TileGrid.of(Tiles(height=256, width=256, overlap=32), 256, 1000)
    for width in (928, 1152):
        assert TileGrid.of(Tiles(height=256, width=256, overlap=32), 256, width).size == (256, width)


def test_tiles_that_begin_between_two_pixels_of_the_map_are_refused() -> None:
    grid = TileGrid.of(Tiles(height=64, width=64, overlap=12), 116, 116)
    with pytest.raises(ValueError, match=r"begin every 52 do not begin at its pixels.* multiples of 8"):
        grid.at_stride((8, 8))


def test_another_number_of_maps_than_tiles_is_refused() -> None:
    grid = TileGrid.of(Tiles(height=4, width=4), 8, 8)
    with pytest.raises(ValueError, match="3 tiles for a grid of 4"):
        grid.joined([np.zeros((4, 4), np.float32)] * 3)
