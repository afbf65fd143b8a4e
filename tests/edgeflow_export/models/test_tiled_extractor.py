"""A tiled extractor: each tile alone through the network, joined as the contract says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from edgeflow.contracts.geometry.tiles import TileGrid, Tiles
from edgeflow.errors import ConfigError
from edgeflow_export.features.extractors import output_shape, tiled
from edgeflow_export.models.compact_net import CompactNet
from edgeflow_export.models.tiled_extractor import TiledExtractor
from edgeflow_export.recipe import ImageSpec
from tests.support.tiny_extractor import tiny

TILES = Tiles(height=32, width=48, overlap=8)
IMAGE = ImageSpec(height=56, width=128, tiles=TILES)
GRID = TileGrid.of(TILES, 56, 128)


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 56, 128, generator=torch.Generator().manual_seed(0))


def test_features_are_those_of_single_tiles_joined_as_the_contract_says() -> None:
    network = tiny().eval()
    extractor = tiled(network, IMAGE)
    assert isinstance(extractor, TiledExtractor)
    x = images(2)
    with torch.inference_mode():
        found = extractor(x)
        alone = [
            network(x[..., row.start : row.stop, column.start : column.stop]).numpy()
            for row, column in GRID.places
        ]
    assert found.shape == (2, 8, 7, 16)
    assert output_shape(extractor, 56, 128) == (8, 7, 16)
    np.testing.assert_allclose(found.numpy(), GRID.at_stride((8, 8)).joined(alone), rtol=1e-5, atol=1e-6)


def test_with_enough_overlap_a_tile_never_shows_in_the_features() -> None:
    network = tiny().eval()
    with torch.inference_mode():
        whole = network(images(1))
        joined = tiled(network, IMAGE)(images(1))
        cut = tiled(network, ImageSpec(height=64, width=128, tiles=Tiles(height=32, width=64)))
        seen = cut(images(1).repeat(1, 1, 2, 1)[:, :, :64])
        expected = network(images(1).repeat(1, 1, 2, 1)[:, :, :64])
    torch.testing.assert_close(joined, whole, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(seen, expected, atol=1e-3)  # without overlap it does


def test_a_network_that_is_told_where_a_clipping_lies_is_told() -> None:
    torch.manual_seed(0)
    network = CompactNet(12, 8).eval()
    x = images(1)
    with torch.inference_mode():
        found = tiled(network, IMAGE)(x)
        row, column = GRID.places[-1]
        clipping = x[..., row.start : row.stop, column.start : column.stop]
        told = network(clipping, torch.tensor([[24 / 56, 80 / 128, 32 / 56, 48 / 128]]))
        untold = network(clipping)
    torch.testing.assert_close(found[..., -1, -1], told[..., -1, -1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(found[..., -1, -1], untold[..., -1, -1], atol=1e-4)


def test_without_tiles_the_extractor_stays_as_it_is() -> None:
    network = tiny()
    assert tiled(network, ImageSpec(height=56, width=128)) is network


@pytest.mark.parametrize(
    ("image", "what"),
    [
        (
            ImageSpec(height=52, width=52, tiles=Tiles(height=32, width=32, overlap=12)),
            r"image\.tiles: the network's map has one pixel for 8 .* multiples of 8",
        ),
        (
            ImageSpec(height=36, width=36, tiles=Tiles(height=36, width=36)),
            r"image\.tiles: of a tile of 36x36 the extractor makes 5x5 features, which does not divide",
        ),
    ],
)
def test_tiles_that_do_not_fit_the_network_are_refused(image: ImageSpec, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        tiled(tiny(), image)


def test_a_tile_that_the_network_does_not_take_is_named() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 64))
    with pytest.raises(
        ConfigError, match=r"set image\.tiles\.height and image\.tiles\.width to what it takes"
    ):
        tiled(network, IMAGE)
