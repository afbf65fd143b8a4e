"""Convolutions over several maps at once, summed, with replicated borders: two ways to the same numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["Convolution", "DirectConvolution", "WinogradConvolution", "winograd", "winograd_pays"]


class Convolution(Protocol):
    """Maps are prepared once, however many receivers they go to."""

    def prepare(self, maps: Tensor) -> Tensor:
        """Maps (B, C, H, W) in the form that ``convolve`` takes."""

    def convolve(
        self, groups: Sequence[Sequence[Tensor]], weights: Sequence[Tensor], biases: Sequence[Tensor]
    ) -> Tensor:
        """Per group of prepared maps the convolution of their concatenation.

        Args:
            weights: per group (O, sum of C, k, k).
            biases: per group (O,).

        Returns:
            (B, groups, O, H, W).
        """


class DirectConvolution:
    """torch's own convolution."""

    def __init__(self, kernel: int) -> None:
        self.pad = kernel // 2

    def prepare(self, maps: Tensor) -> Tensor:
        """Return the maps with replicated borders."""
        return F.pad(maps, (self.pad,) * 4, mode="replicate") if self.pad else maps

    def convolve(
        self, groups: Sequence[Sequence[Tensor]], weights: Sequence[Tensor], biases: Sequence[Tensor]
    ) -> Tensor:
        """Return the sum of the convolutions of all groups."""
        outputs = [
            F.conv2d(torch.cat(list(maps), dim=1), weight, bias)
            for maps, weight, bias in zip(groups, weights, biases, strict=True)
        ]
        return torch.stack(outputs, dim=1)


# Kernel size to the side of a tile's output: larger tiles multiply less and round more.
_TILE = {1: 1, 3: 4, 5: 4, 7: 2}
# Interpolation points in the order of their use; the last one of every scheme is infinity.
_POINTS = (0.0, 1.0, -1.0, 0.5, -2.0, -0.5, 2.0)


class WinogradConvolution:
    """Winograd's minimal filtering (Lavin & Gray, arXiv 1509.09308), gradients included.

    It multiplies 4 times less for a 3x3 kernel and 6 times less for a 5x5 kernel. Where that saves time:
    :func:`winograd_pays`.

    A map is cut into tiles, and every tile's samples are evaluated at n x n points; there the convolution
    is a matrix product per point. Cutting, replicated borders and evaluation are one small matrix per axis.
    Rounding differs from the direct form by 1e-6 (3x3) to 1e-5 (5x5) of the largest value. Maps lie in
    memory as (H, W, B, C), which every product here reads without copying.
    """

    def __init__(self, kernel: int, height: int, width: int) -> None:
        self.tile = _TILE[kernel]
        self.height, self.width = height, width
        self.rows, self.columns = -(-height // self.tile), -(-width // self.tile)
        self.points = self.tile + kernel - 1
        cook = [torch.from_numpy(matrix).float() for matrix in _cook_toom(self.tile, kernel)]
        self.to_kernel, self.to_output = (torch.kron(matrix, matrix) for matrix in cook[1:])
        self.down = _cut(cook[0], height, self.rows, kernel // 2)
        self.across = _cut(cook[0], width, self.columns, kernel // 2)

    def prepare(self, maps: Tensor) -> Tensor:
        """Tiles (n*n, rows*columns*B, C), the points across before those down."""
        batch, channels = maps.shape[:2]
        pixels = maps.permute(2, 3, 0, 1).reshape(self.height, self.width, batch * channels)
        across = self.across @ pixels  # (H, n*columns, B*C)
        across = across.view(self.height, self.points, -1).transpose(0, 1)
        return (self.down @ across).view(self.points**2, -1, channels)

    def convolve(
        self, groups: Sequence[Sequence[Tensor]], weights: Sequence[Tensor], biases: Sequence[Tensor]
    ) -> Tensor:
        """Return the sum of the convolutions of all groups."""
        outputs = [
            _TileProduct.apply(self, weight, *tiles).view(*self._phases, -1, weight.shape[0])
            for tiles, weight in zip(groups, weights, strict=True)
        ]
        # from (phase across, phase down, row, column) to (row, phase down, column, phase across)
        pixels = torch.stack([output.permute(2, 1, 3, 0, 4, 5) for output in outputs])
        pixels = pixels.flatten(3, 4).flatten(1, 2)[:, : self.height, : self.width]
        shifted = pixels + torch.stack(list(biases)).view(len(outputs), 1, 1, 1, -1)
        return shifted.permute(3, 0, 4, 1, 2)

    def kernel(self, weight: Tensor) -> Tensor:
        """A weight (O, C, k, k) at the points: (n*n, C, O)."""
        flat = weight.permute(3, 2, 1, 0).reshape(weight[0, 0].numel(), -1)
        return (self.to_kernel @ flat).view(-1, *weight.shape[1::-1])

    def weight_gradient(self, kernel: Tensor, size: int) -> Tensor:
        """The transpose of ``kernel``: (n*n, C, O) to (O, C, size, size)."""
        flat = self.to_kernel.T @ kernel.flatten(1)
        return flat.view(size, size, *kernel.shape[1:]).permute(3, 2, 1, 0)

    @property
    def _phases(self) -> tuple[int, int, int, int]:
        return self.tile, self.tile, self.rows, self.columns


def winograd_pays(kernel: int, instructions: str) -> bool:
    """True if a training step takes less time with Winograd's form; the width of the flow hardly matters.

    Args:
        instructions: the processor's, as ``torch.backends.cpu.get_cpu_capability()`` names them.
    """
    return kernel >= (5 if instructions == "AVX512" else 3)


@cache
def winograd(kernel: int, height: int, width: int) -> WinogradConvolution:
    """The scheme for a kernel and maps of one size, made once."""
    with torch.inference_mode(mode=False):  # its matrices serve later trainings too
        return WinogradConvolution(kernel, height, width)


class _TileProduct(torch.autograd.Function):
    """Tiles times kernels, as output phases; kernels at the points are computed twice rather than kept."""

    @staticmethod
    def forward(ctx: Any, scheme: WinogradConvolution, weight: Tensor, *tiles: Tensor) -> Tensor:
        ctx.scheme = scheme
        ctx.save_for_backward(weight, *tiles)
        product = torch.bmm(torch.cat(tiles, dim=2), scheme.kernel(weight))
        return scheme.to_output @ product.flatten(1)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        weight, *tiles = ctx.saved_tensors
        product = (ctx.scheme.to_output.T @ gradient).view(*tiles[0].shape[:2], -1)
        to_tiles = torch.bmm(product, ctx.scheme.kernel(weight).transpose(1, 2))
        to_kernel = torch.bmm(torch.cat(tiles, dim=2).transpose(1, 2), product)
        to_weight = ctx.scheme.weight_gradient(to_kernel, weight.shape[-1])
        return None, to_weight, *torch.split(to_tiles, [part.shape[2] for part in tiles], dim=2)


Matrix = npt.NDArray[np.float64]


def _cook_toom(tile: int, kernel: int) -> tuple[Matrix, Matrix, Matrix]:
    """Matrices of input (n, n), kernel (n, k) and output (m, n) of minimal filtering in one dimension."""
    count = tile + kernel - 1
    points = np.array(_POINTS[: count - 1])
    source, weight, output = np.zeros((count, count)), np.zeros((count, kernel)), np.zeros((tile, count))
    for index, point in enumerate(points):
        others = np.delete(points, index)
        source[index, :-1] = np.atleast_1d(np.poly(others))[::-1]
        weight[index] = point ** np.arange(kernel) / np.prod(point - others)
        output[:, index] = point ** np.arange(tile)
    source[-1] = np.atleast_1d(np.poly(points))[::-1]
    weight[-1, -1] = output[-1, -1] = 1
    balance = 2.0 ** np.round(np.log2(np.abs(source).sum(1, keepdims=True)))  # exact in floating point
    return source / balance, weight * balance, output


def _cut(source: Tensor, size: int, tiles: int, pad: int) -> Tensor:
    """The matrix (n*tiles, size) that cuts an axis into overlapping tiles and evaluates them."""
    points = source.shape[0]
    tile = points - 2 * pad
    samples = torch.arange(tiles).view(-1, 1) * tile + torch.arange(points) - pad
    chosen = F.one_hot(samples.clamp(0, size - 1), size).float()  # (tiles, n, size)
    return torch.einsum("ij,tjs->its", source, chosen).flatten(0, 1)
