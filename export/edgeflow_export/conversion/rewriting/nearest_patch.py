"""The patch memory in its form for inference: 1x1 convolutions with constants folded, and a minimum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeflow_export.models.patch_memory import PatchMemory

__all__ = ["PIECE", "NearestPatch"]

PIECE = 2048
"""Patches that are compared at once: 8 MB of distances at 32x32 pixels."""


class NearestPatch(nn.Module):
    """Standardised features (V, C, h, w) to maps (V, h, w), equal to the memory's up to rounding.

    ``|f - b|² = |f|² + (|b|² - 2 f·b)``: the bracket is a 1x1 convolution with weights -2 b and bias |b|², so
    that it goes to INT8 as every convolution does; |f|² is added once, after the minimum over all patches b.
    The bank is taken in pieces, so that the distances in memory at once do not grow with it.
    """

    def __init__(self, memory: PatchMemory) -> None:
        super().__init__()
        self.patches = memory.patches
        self.channels = memory.shape.channels
        self.views = nn.ModuleList(_Bank(bank) for bank in memory.bank.detach())

    def forward(self, features: Tensor) -> Tensor:
        """Features to maps."""
        own = self.patches(features)
        nearest = [bank(own[view : view + 1]) for view, bank in enumerate(self.views)]
        squared = torch.cat(nearest) + own.square().sum(1)
        return (squared.clamp(min=0) / self.channels).sqrt()


class _Bank(nn.Module):
    """One view's features f (1, C, h, w) to the least |b|² - 2 f·b (1, h, w) over its patches b (K, C)."""

    def __init__(self, bank: Tensor) -> None:
        super().__init__()
        self.pieces = nn.ModuleList(_products(patches) for patches in torch.split(bank, PIECE))

    def forward(self, own: Tensor) -> Tensor:
        lowest = [piece(own).amin(1) for piece in self.pieces]
        return lowest[0] if len(lowest) == 1 else torch.cat(lowest).amin(0, keepdim=True)


def _products(patches: Tensor) -> nn.Conv2d:
    """Patches b (K, C) as the convolution that gives |b|² - 2 f·b (1, K, h, w) of features f (1, C, h, w)."""
    convolution = nn.Conv2d(patches.shape[1], len(patches), 1)
    assert convolution.bias is not None  # noqa: S101 - it has one
    with torch.no_grad():
        convolution.weight.copy_((-2 * patches)[:, :, None, None])
        convolution.bias.copy_(patches.square().sum(1))
    return convolution.requires_grad_(requires_grad=False)
