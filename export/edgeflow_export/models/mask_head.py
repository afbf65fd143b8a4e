"""A distilled foreground: two small convolutions on features that the extractor computes anyway."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["MaskHead"]

WIDTH = 16


class MaskHead(nn.Module):
    """Standardised features (N, C, h, w) to logits (N, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(channels, WIDTH, 1)
        self.decide = nn.Conv2d(WIDTH, 1, 3, padding=1, padding_mode="replicate")

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.decide(torch.relu(self.reduce(features)))
        return logits[:, 0]
