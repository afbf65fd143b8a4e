"""A small convolutional extractor that a recipe trains by itself: plain convolutions, kind to INT8."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CompactNet"]


class CompactNet(nn.Module):
    """Normalised RGB (N, 3, H, W) to features (N, C, H/8, W/8), details and context added.

    About 0.3 million parameters at 64 channels. The output has no activation: a channel that is
    zero for every normal part would tell the flow nothing.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 16, stride=2), _conv(16, 32, stride=2))
        self.body = nn.Sequential(_conv(32, 64, stride=2), _conv(64, 64))
        self.context = nn.Sequential(_conv(64, 96, stride=2), _conv(96, 96), _conv(96, 96))
        self.from_body = nn.Conv2d(64, channels, 1, bias=False)
        self.from_context = nn.Conv2d(96, channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        details = self.body(self.stem(x))
        context = self.from_context(self.context(details))
        context = F.interpolate(context, size=details.shape[-2:], mode="nearest")
        features: Tensor = self.norm(self.from_body(details) + context)
        return features


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
