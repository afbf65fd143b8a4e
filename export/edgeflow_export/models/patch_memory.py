"""A patch memory: every pixel's distance to the nearest features of normal parts (arXiv 2106.08265)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["MemoryShape", "PatchMemory", "chunk_size"]

LARGEST_PRODUCT = 1 << 22
"""Distances that are in memory at once: 16 MB in float32."""


@dataclass(frozen=True, kw_only=True)
class MemoryShape:
    """Size of a patch memory.

    Attributes:
        channels: C of the feature maps.
        patches: K, how many patches every view remembers.
        averaging: whether a patch is the mean over 3x3 pixels.
    """

    channels: int
    views: int
    patches: int
    averaging: bool


class PatchMemory(nn.Module):
    """Per view a bank of normal patches; views do not meet.

    Attributes:
        bank: features of the patches (V, K, C), averaged where the shape says so.
    """

    bank: Tensor

    def __init__(self, shape: MemoryShape) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("bank", torch.zeros(shape.views, shape.patches, shape.channels))

    def forward(self, features: Tensor) -> Tensor:
        """Standardised features (V, C, h, w) to maps (V, h, w).

        A map's value is the root mean square over channels of the difference to the nearest patch.
        """
        height, width = features.shape[2:]
        maps = [
            self._distances(own.flatten(1).T, bank).view(height, width)
            for own, bank in zip(self.patches(features), self.bank, strict=True)
        ]
        return torch.stack(maps) / math.sqrt(self.shape.channels)

    def patches(self, features: Tensor) -> Tensor:
        """Features (N, C, h, w) as the bank holds them: averaged over 3x3 pixels, or as they are."""
        if not self.shape.averaging:
            return features
        averaged: Tensor = F.avg_pool2d(features, 3, stride=1, padding=1, count_include_pad=False)
        return averaged

    @staticmethod
    def _distances(own: Tensor, bank: Tensor) -> Tensor:
        """Distances (P,) of P patches (P, C) to the nearest of a bank (K, C), some of the bank at a time."""
        pieces = torch.split(bank, chunk_size(len(own)))
        nearest = [torch.cdist(own, piece).amin(1) for piece in pieces]
        return torch.stack(nearest).amin(0)


def chunk_size(pixels: int) -> int:
    """Return how many patches of a bank are compared with so many pixels at once."""
    return max(1, LARGEST_PRODUCT // pixels)
