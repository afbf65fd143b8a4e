"""A small convolutional extractor that a recipe trains by itself: plain convolutions, kind to INT8."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CompactNet"]

_OCTAVES = 4  # of the position code: periods from twice the image down to a quarter


class CompactNet(nn.Module):
    """Normalised RGB (N, 3, H, W) to features (N, C, H/8, W/8): details, context and position joined.

    With ``stride`` 4 they are (N, C, H/4, W/4), for four times the work behind the first convolution.

    About 0.3 million parameters. It knows where in the image it looks, because parts lie in a fixture:
    a screw head is normal in one place only. The output has no activation: a channel that is zero for
    every normal part would tell the flow nothing.
    """

    def __init__(self, channels: int, stride: Literal[4, 8] = 8) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 16, stride=2), _conv(16, 32, stride=stride // 4))
        self.body = nn.Sequential(_conv(32, 64, stride=2), _conv(64, 64))
        self.reduce = _conv(64, 96, stride=2)
        self.position = nn.Sequential(nn.Conv2d(4 * _OCTAVES, 64, 1), nn.ReLU(), nn.Conv2d(64, 96, 1))
        self.context = nn.Sequential(_conv(96, 96), _conv(96, 96), nn.Conv2d(96, 64, 1, bias=False))
        self.details = nn.Conv2d(64, 64, 1, bias=False)
        self.join = nn.Sequential(
            nn.BatchNorm2d(64),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor, window: Tensor | None = None) -> Tensor:
        """Features of whole images, or of clippings.

        Args:
            window: of each clipping (N, 4), as shares of the whole image: top, left, height, width.
        """
        details = self.body(self.stem(x))
        context = self.reduce(details)
        code = _position_code(context.shape[2], context.shape[3], window, context)
        context = self.context(context + self.position(code))
        # By a factor and not to a size: a size in the graph would hold how many images there are. The same
        # pixels, also where an odd number of rows was halved.
        context = F.interpolate(context, scale_factor=2.0, mode="nearest")
        context = context[..., : details.shape[2], : details.shape[3]]
        features: Tensor = self.join(self.details(details) + context)
        return features


def _position_code(height: int, width: int, window: Tensor | None, like: Tensor) -> Tensor:
    """Sines and cosines of the cells' positions, (N or 1, 4 * octaves, height, width)."""
    if window is None:
        window = torch.tensor([[0.0, 0.0, 1.0, 1.0]], dtype=like.dtype, device=like.device)
    rows = (torch.arange(height, dtype=like.dtype, device=like.device) + 0.5) / height
    columns = (torch.arange(width, dtype=like.dtype, device=like.device) + 0.5) / width
    y = (window[:, 0:1] + window[:, 2:3] * rows).unsqueeze(2).expand(-1, -1, width)
    x = (window[:, 1:2] + window[:, 3:4] * columns).unsqueeze(1).expand(-1, height, -1)
    angles = [place * (math.pi * 2**octave) for place in (y, x) for octave in range(_OCTAVES)]
    stacked = torch.stack(angles, dim=1)
    return torch.cat([stacked.sin(), stacked.cos()], dim=1)


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
