"""The trained flow rewritten for inference by exact algebra: the same numbers, far fewer operations."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import (
    CLAMP_FACTOR,
    OUTPUT_LIMIT,
    CouplingBlock,
    CrossViewNet,
    MultiFlow,
)

__all__ = [
    "InferenceModel",
    "fold_clamp",
    "fold_normalisation",
    "gather_order",
    "merge_messages",
    "rewrite",
    "without_noise",
]


class _Net(nn.Module):
    """A cross-view net with constants only: first convolutions as one, then one kernel per receiver.

    Attention messages stay as they are.
    """

    first_weight: Tensor
    first_bias: Tensor

    def __init__(self, net: CrossViewNet, *, channels: int, clamp: float) -> None:
        super().__init__()
        self.views = net.graph.views
        self.messages = net.messages
        self.register_buffer("first_weight", without_noise(net, channels // 2))
        self.register_buffer("first_bias", _bias(net.first).clone())
        self.pad = net.first.kernel_size[0] // 2
        for view, merged in enumerate(merge_messages(net)):
            kernel, bias = fold_clamp(*merged, clamp)
            self.register_buffer(f"kernel{view}", kernel)
            self.register_buffer(f"bias{view}", bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (V, C/2, h, w) to s/clamp and t, each (V, C/2, h, w)."""
        h = F.relu(
            F.conv2d(
                _pad(x.reshape(1, -1, *x.shape[2:]), self.pad),
                self.first_weight,
                self.first_bias,
                groups=self.views,
            )
        )
        heard = self.messages(torch.chunk(h, self.views, dim=1), lambda maps: _pad(maps, self.pad))
        outputs = [
            F.conv2d(torch.cat(maps, dim=1), self.get_buffer(f"kernel{view}"), self.get_buffer(f"bias{view}"))
            for view, maps in enumerate(heard)
        ]
        s, t = torch.cat(outputs, dim=0).chunk(2, dim=1)
        return s, t


class _Block(nn.Module):
    """A coupling block; returns its output and atan(s/clamp) of both halves, summed."""

    order: Tensor

    def __init__(self, block: CouplingBlock, channels: int) -> None:
        super().__init__()
        self.scale = block.clamp * CLAMP_FACTOR
        self.net1 = _Net(block.net1, channels=channels, clamp=block.clamp)
        self.net2 = _Net(block.net2, channels=channels, clamp=block.clamp)
        self.register_buffer("order", gather_order(block))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        views, channels, height, width = x.shape
        permuted = x.reshape(1, views * channels, height, width).index_select(1, self.order)
        x1, x2 = permuted.reshape(views, channels, height, width).chunk(2, dim=1)
        s2, t2 = self.net2(x2)
        atan2 = torch.atan(s2)
        y1 = torch.exp(self.scale * atan2) * x1 + t2
        s1, t1 = self.net1(y1)
        atan1 = torch.atan(s1)
        y2 = torch.exp(self.scale * atan1) * x2 + t1
        return torch.cat([y1, y2], dim=1).clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT), atan1 + atan2


class _Flow(nn.Module):
    """The whole flow: standardised features (V, C, h, w) to negative log-likelihood (V, h, w)."""

    def __init__(self, flow: MultiFlow) -> None:
        super().__init__()
        self.channels = flow.shape.channels
        self.scale = flow.shape.clamp * CLAMP_FACTOR
        self.blocks = nn.ModuleList(
            _Block(block, self.channels) for block in flow.blocks if isinstance(block, CouplingBlock)
        )

    def forward(self, features: Tensor) -> Tensor:
        z, total = self.blocks[0](features)
        for block in list(self.blocks)[1:]:
            z, atans = block(z)
            total = total + atans
        # One reduction for all log-determinants: they add up pixel by pixel.
        nll: Tensor = (0.5 * (z * z).sum(1) - self.scale * total.sum(1)) / self.channels
        return nll


class InferenceModel(nn.Module):
    """uint8 images of one part (V, H, W, 3) to anomaly maps (V, h, w), constants folded.

    A distilled foreground's logits (V, h, w) come second.
    """

    input_scale: Tensor
    input_offset: Tensor
    feature_scale: Tensor
    feature_offset: Tensor

    def __init__(self, model: InspectionModel) -> None:
        super().__init__()
        self.extractor = model.extractor
        self.flow = _Flow(model.flow)
        self.mask_head = model.mask_head
        image = fold_normalisation(model.image_mean, model.image_std, unit=255)
        features = fold_normalisation(model.feature_mean, model.feature_std)
        for name, (scale, offset) in (("input", image), ("feature", features)):
            self.register_buffer(f"{name}_scale", scale)
            self.register_buffer(f"{name}_offset", offset)

    def raw_features(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) to the extractor's features (V, C, h, w)."""
        x = images.permute(0, 3, 1, 2).float() * self.input_scale + self.input_offset
        features: Tensor = self.extractor(x)
        return features

    def standardised(self, raw: Tensor) -> Tensor:
        """The extractor's features (V, C, h, w) as the flow reads them."""
        return raw * self.feature_scale + self.feature_offset

    def features(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) to standardised features (V, C, h, w)."""
        return self.standardised(self.raw_features(images))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, H, W, 3) to maps, and mask logits where the model has a head."""
        raw = self.raw_features(images)
        maps = self.flow(self.standardised(raw))
        return (maps,) if self.mask_head is None else (maps, self.mask_head(raw))


def rewrite(model: InspectionModel) -> InferenceModel:
    """The inference form of a trained model, in evaluation mode; equal up to rounding."""
    with torch.no_grad():
        return InferenceModel(model).eval()


def _pad(x: Tensor, width: int) -> Tensor:
    return F.pad(x, (width, width, width, width), mode="replicate") if width else x


def _bias(conv: nn.Conv2d) -> Tensor:
    return torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach()


def without_noise(net: CrossViewNet, inputs: int) -> Tensor:
    """First kernels (V*hidden, C/2, k, k) without the noise channel, which is 0 at inference.

    Args:
        inputs: C/2; a flow that is not conditioned has no more channels than these.
    """
    return net.first.weight.detach()[:, :inputs].clone()


def merge_messages(net: CrossViewNet) -> list[tuple[Tensor, Tensor]]:
    """Per receiver one kernel (C, (1+senders)*hidden, k, k) and bias (C,), gamma and weights folded in.

    A sum of convolutions is one convolution over the concatenated maps.
    """
    merged = (net.merged(view) for view in range(net.graph.views))
    return [(kernel.detach(), bias.detach()) for kernel, bias in merged]


def fold_clamp(kernel: Tensor, bias: Tensor, clamp: float) -> tuple[Tensor, Tensor]:
    """Kernel and bias that give s/clamp in the first half of the channels, and t as before."""
    scale = torch.ones(len(bias), dtype=bias.dtype)
    scale[: len(bias) // 2] = 1.0 / clamp
    return kernel * scale.view(-1, 1, 1, 1), bias * scale


def gather_order(block: CouplingBlock) -> Tensor:
    """The permutations of all views as one gather over the (V*C) channels side by side."""
    views, channels = block.permutation.shape
    return (block.permutation + torch.arange(views).unsqueeze(1) * channels).flatten()


def fold_normalisation(mean: Tensor, std: Tensor, unit: float = 1.0) -> tuple[Tensor, Tensor]:
    """Scale and offset with ``x * scale + offset == (x / unit - mean) / std``."""
    return 1 / (unit * std), -mean / std
