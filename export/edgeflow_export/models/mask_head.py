"""A distilled foreground: two small convolutions on features that the extractor computes anyway."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MaskHead"]

WIDTH = 16


class MaskHead(nn.Module):
    """The extractor's features (N, C, h, w) to logits (N, h, w); N is a multiple of V, view after view.

    It reads features as they are: standardised by position they tell what is unusual at a place, not what
    usually lies there.

    Args:
        shape: views V, height h and width w.

    Attributes:
        prior: logits (V, h, w) of what lay there in the training parts.
    """

    prior: Tensor

    def __init__(self, channels: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, WIDTH, 1)
        self.decide = nn.Conv2d(WIDTH, 1, 3, padding=1, padding_mode="replicate")
        self.register_buffer("prior", torch.zeros(shape))

    def forward(self, features: Tensor) -> Tensor:
        """Features to mask logits."""
        seen: Tensor = self.decide(torch.relu(self.reduce(features)))
        return (seen.reshape(-1, *self.prior.shape) + self.prior).flatten(0, 1)
