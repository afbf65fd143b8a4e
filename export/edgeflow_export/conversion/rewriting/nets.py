"""The nets of a coupling with constants only: noise dropped, factors and the clamp folded into the kernels.

Maps of all views lie side by side along the channels, (1, V*c, h, w), in and out.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow_export.conversion.rewriting.forms import SecondForm
from edgeflow_export.models.multiflow import CrossViewNet
from edgeflow_export.models.view_messages import ConvolutionMessages

__all__ = ["InferenceNet", "fold_clamp", "merge_messages", "without_noise"]


class InferenceNet(nn.Module):
    """A cross-view net: first convolutions as one in groups, then s and t, in the form of the rule.

    Attention messages stay as they are.
    """

    first_weight: Tensor
    first_bias: Tensor

    def __init__(self, net: CrossViewNet, *, channels: int, clamp: float, form: SecondForm) -> None:
        super().__init__()
        self.views = net.graph.views
        self.register_buffer("first_weight", without_noise(net, channels // 2))
        self.register_buffer("first_bias", _bias(net.first).clone())
        self.pad = net.first.kernel_size[0] // 2
        merged = [fold_clamp(*receiver, clamp) for receiver in merge_messages(net)]
        self.second: nn.Module = (
            _Dense(merged, net.graph.senders, self.pad)
            if form == "dense"
            else _PerReceiver(merged, net.messages, self.pad)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map x (1, V*C/2, h, w) to s/clamp and t of the same shape."""
        padded = _pad(x, self.pad)
        hidden = F.relu(F.conv2d(padded, self.first_weight, self.first_bias, groups=self.views))
        s, t = self.second(hidden)
        return s, t


Merged = list[tuple[Tensor, Tensor]]


class _Dense(nn.Module):
    """One convolution over the hidden maps of all views for s, one for t; zeros where no message goes."""

    def __init__(self, merged: Merged, senders: tuple[tuple[int, ...], ...], pad: int) -> None:
        super().__init__()
        self.pad = pad
        for place, name in enumerate(("s", "t")):
            rows = [
                _spread(kernel.chunk(2)[place], (view, *senders[view]), len(senders))
                for view, (kernel, _) in enumerate(merged)
            ]
            self.register_buffer(f"{name}_weight", torch.cat(rows))
            self.register_buffer(f"{name}_bias", torch.cat([bias.chunk(2)[place] for _, bias in merged]))

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        padded = _pad(hidden, self.pad)
        s, t = (
            F.conv2d(padded, self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias"))
            for name in ("s", "t")
        )
        return s, t


class _PerReceiver(nn.Module):
    """For every view a convolution over its own hidden maps and the messages to it, for s and for t."""

    def __init__(self, merged: Merged, messages: nn.Module, pad: int) -> None:
        super().__init__()
        self.messages, self.views, self.pad = messages, len(merged), pad
        for view, (kernel, bias) in enumerate(merged):
            for place, name in enumerate(("s", "t")):
                self.register_buffer(f"{name}_weight{view}", kernel.chunk(2)[place].clone())
                self.register_buffer(f"{name}_bias{view}", bias.chunk(2)[place].clone())

    def forward(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        heard = [torch.cat(maps, dim=1) for maps in self._heard(hidden)]
        s, t = (
            torch.cat([self._convolved(maps, f"{name}_{{}}{view}") for view, maps in enumerate(heard)], dim=1)
            for name in ("s", "t")
        )
        return s, t

    def _heard(self, hidden: Tensor) -> list[list[Tensor]]:
        """Padded maps that each receiver gets; messages as they are need one padding for all."""
        found: list[list[Tensor]]
        if isinstance(self.messages, ConvolutionMessages):
            found = self.messages(_pad(hidden, self.pad).chunk(self.views, dim=1), lambda maps: maps)
        else:
            found = self.messages(hidden.chunk(self.views, dim=1), lambda maps: _pad(maps, self.pad))
        return found

    def _convolved(self, maps: Tensor, name: str) -> Tensor:
        return F.conv2d(maps, self.get_buffer(name.format("weight")), self.get_buffer(name.format("bias")))


def _spread(kernel: Tensor, heard: tuple[int, ...], views: int) -> Tensor:
    """Kernel (C/2, heard*hidden, k, k) to one over all views (C/2, V*hidden, k, k)."""
    outputs, inputs, *size = kernel.shape
    hidden = inputs // len(heard)
    spread = kernel.new_zeros(outputs, views, hidden, *size)
    spread[:, list(heard)] = kernel.view(outputs, len(heard), hidden, *size)
    return spread.flatten(1, 2)


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
