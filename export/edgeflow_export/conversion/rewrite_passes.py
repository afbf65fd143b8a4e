"""The single steps of rewriting a flow for inference: exact algebra on constants, one function each."""

from __future__ import annotations

import torch
from torch import Tensor

from edgeflow_export.models.multiflow import CouplingBlock, CrossViewNet

__all__ = ["fold_clamp", "fold_normalisation", "gather_order", "merge_messages", "without_noise"]


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
