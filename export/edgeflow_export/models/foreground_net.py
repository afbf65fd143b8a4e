"""The foreground network as it is exported: uint8 images in, logits out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeflow_export.models.inspection_model import IMAGE_MEAN, IMAGE_STD
from edgeflow_export.models.mvanet import MVANet
from edgeflow_export.models.test_time_augmentation import SixfoldAverage

__all__ = ["ForegroundNet"]


class ForegroundNet(nn.Module):
    """Normalisation and MVANet, with the published six looks where wanted (Multi-Flow, section 3).

    Constants of the normalisation are folded into one product and one sum per channel.
    """

    input_scale: Tensor
    input_offset: Tensor

    def __init__(self, network: MVANet, *, augmentation: bool) -> None:
        super().__init__()
        self._plain = (network,)  # not a module of its own: the same tensors would be there twice
        self.network = SixfoldAverage(network) if augmentation else network
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (IMAGE_MEAN, IMAGE_STD))
        self.register_buffer("input_scale", 1 / (255 * std), persistent=False)
        self.register_buffer("input_offset", -mean / std, persistent=False)

    def plain(self) -> ForegroundNet:
        """The same network that looks once."""
        return ForegroundNet(self._plain[0], augmentation=False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (N, S, S, 3), red first, to foreground logits (N, S, S)."""
        logits: Tensor = self.network(
            images.permute(0, 3, 1, 2).float() * self.input_scale + self.input_offset
        )
        return logits[:, 0]
