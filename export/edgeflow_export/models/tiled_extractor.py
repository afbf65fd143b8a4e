"""A feature extractor that sees the model image tile by tile, and gives one feature map of all tiles."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeflow.contracts.geometry.tiles import TileGrid
from edgeflow_export.models.compact_net import CompactNet

__all__ = ["TiledExtractor"]


class TiledExtractor(nn.Module):
    """Images (N, 3, H, W) to features (N, C, h, w): cut, all tiles through one network, joined by slices.

    Every pixel of the features comes from the tile whose border is farthest from it, so that joining computes
    nothing: no seam is averaged, and none is counted twice.

    Args:
        network: a tile (N, 3, th, tw) to its features (N, C, th / stride, tw / stride).
        grid: of the image.
        stride: rows and columns of the image for one pixel of the features.

    Raises:
        ValueError: a tile does not begin at a pixel of the features.
    """

    windows: Tensor

    def __init__(self, network: nn.Module, grid: TileGrid, stride: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.grid = grid
        self.stride = stride
        self.joined_grid = grid.at_stride(stride)
        height, width = grid.size
        windows = [
            (
                row.start / height,
                column.start / width,
                (row.stop - row.start) / height,
                (column.stop - column.start) / width,
            )
            for row, column in grid.places
        ]
        self.register_buffer("windows", torch.tensor(windows), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images to the features of all their tiles, joined."""
        count = x.shape[0]
        tiles = [
            x[:, :, row.start : row.stop, column.start : column.stop] for row, column in self.grid.places
        ]
        features = self._features(torch.cat(tiles), count)
        kept = [
            features[place * count : (place + 1) * count, :, row.kept, column.kept]
            for place, (row, column) in enumerate(self.joined_grid.places)
        ]
        across = len(self.grid.columns)
        rows = [torch.cat(kept[place : place + across], 3) for place in range(0, len(kept), across)]
        return torch.cat(rows, 2)

    def _features(self, tiles: Tensor, count: int) -> Tensor:
        """Features of all tiles; a network that is told where a clipping lies is told."""
        if isinstance(self.network, CompactNet):
            features: Tensor = self.network(tiles, self.windows.repeat_interleave(count, 0))
        else:
            features = self.network(tiles)
        return features

    def around(self, network: nn.Module) -> TiledExtractor:
        """Return an extractor with these tiles and another network of the same stride."""
        return TiledExtractor(network, self.grid, self.stride).eval()

    def extra_repr(self) -> str:
        """All that decides the result besides the network."""
        return f"grid={self.grid}, stride={self.stride}"
