"""Permutations of channels as convolutions with one 1 per channel: all that follows stays channels-last.

A gather of channels would have every map stored channel by channel and back. The sums are exact: one
product with 1, all others with 0.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow_export.conversion.rewriting.forms import PermutationForm

__all__ = ["FirstPermutation", "Permutation"]


class FirstPermutation(nn.Module):
    """Channels of all views, view after view (1, V*C, h, w), to both halves, each (1, V*C/2, h, w).

    Args:
        order: (V, C): the channel that comes to each place.
    """

    def __init__(self, order: Tensor, form: PermutationForm) -> None:
        super().__init__()
        views, channels = order.shape
        self.groups = views if form == "per view" else 1
        for half, chosen in enumerate(order.chunk(2, dim=1)):
            ones = _one_hot(chosen, channels)
            kernel = ones.flatten(0, 1) if form == "per view" else _diagonal(ones)
            self.register_buffer(f"half{half}", _as_kernel(kernel))

    def forward(self, joined: Tensor) -> tuple[Tensor, Tensor]:
        """All channels to the first and the second half."""
        x1, x2 = (F.conv2d(joined, self.get_buffer(f"half{half}"), groups=self.groups) for half in (0, 1))
        return x1, x2


class Permutation(nn.Module):
    """Both halves of all views, each (1, V*C/2, h, w), to both halves permuted.

    Args:
        order: (V, C): the channel that comes to each place.
    """

    def __init__(self, order: Tensor, form: PermutationForm) -> None:
        super().__init__()
        views, channels = order.shape
        self.form, self.views = form, views
        for half, chosen in enumerate(order.chunk(2, dim=1)):
            sources = _one_hot(chosen, channels).chunk(2, dim=2)
            if form == "dense":
                kernel = torch.cat([_diagonal(source) for source in sources], dim=1)
                self.register_buffer(f"half{half}", _as_kernel(kernel))
            else:
                for place, source in enumerate(sources):
                    self.register_buffer(f"half{half}from{place}", _as_kernel(source.flatten(0, 1)))

    def forward(self, y1: Tensor, y2: Tensor) -> tuple[Tensor, Tensor]:
        """Both halves to the halves of the next block."""
        if self.form == "dense":
            joined = torch.cat([y1, y2], dim=1)
            x1, x2 = (F.conv2d(joined, self.get_buffer(f"half{half}")) for half in (0, 1))
        else:
            x1, x2 = (self._from(y1, half, 0) + self._from(y2, half, 1) for half in (0, 1))
        return x1, x2

    def _from(self, y: Tensor, half: int, place: int) -> Tensor:
        return F.conv2d(y, self.get_buffer(f"half{half}from{place}"), groups=self.views)


def _one_hot(chosen: Tensor, channels: int) -> Tensor:
    """Channels (V, n) to (V, n, C) of zeros and ones."""
    return F.one_hot(chosen, channels).float()


def _diagonal(blocks: Tensor) -> Tensor:
    """Matrices (V, n, m) to one with them on its diagonal (V*n, V*m)."""
    views, rows, columns = blocks.shape
    spread = blocks.new_zeros(views, rows, views, columns)
    spread[range(views), :, range(views)] = blocks
    return spread.reshape(views * rows, views * columns)


def _as_kernel(matrix: Tensor) -> Tensor:
    return matrix.reshape(*matrix.shape, 1, 1).contiguous()
