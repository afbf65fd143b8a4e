"""Multi-Flow: a normalizing flow over the feature maps of all views of a part (arXiv 2504.03306)."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.errors import ConfigError
from edgeflow_export.models.convolution import Convolution, DirectConvolution, winograd
from edgeflow_export.models.view_graph import ViewGraph
from edgeflow_export.models.view_messages import message_maps

__all__ = ["CLAMP_FACTOR", "CouplingBlock", "CrossViewNet", "FlowOutput", "FlowShape", "MultiFlow", "nll_map"]

CLAMP_FACTOR = 0.636  # the published soft clamp: log e(s) = alpha * 0.636 * atan(s / alpha)
OUTPUT_LIMIT = 1e6


@dataclass(frozen=True, kw_only=True)
class FlowShape:
    """Architecture of a Multi-Flow.

    Attributes:
        channels: C of the feature maps; even.
        conditioned: whether every net has the extra noise channel.
    """

    channels: int
    hidden: int
    kernels: tuple[int, ...]
    clamp: float
    conditioned: bool
    graph: ViewGraph


class FlowOutput(NamedTuple):
    """Latents ``z`` (B, V, C, H, W) and ``log_det`` (B, V, H, W), the log-determinant per pixel and view."""

    z: Tensor
    log_det: Tensor


class CrossViewNet(nn.Module):
    """The network of a coupling: all views at once, with messages along the graph.

    Per view a convolution and ReLU give hidden maps h; view v's output is
    ``gamma_v * (conv_vv(h_v) + w_v * sum over senders u of conv_uv(m_uv))`` with the message m_uv = h_u,
    or h_u seen through attention (the ablation). The sum is computed as one convolution over the
    concatenated maps, which is the same linear map.
    """

    def __init__(self, shape: FlowShape, kernel: int) -> None:
        super().__init__()
        views, hidden = shape.graph.views, shape.hidden
        inputs = shape.channels // 2 + shape.conditioned
        self.graph = shape.graph
        self.winograd = False
        self.first = nn.Conv2d(
            views * inputs,
            views * hidden,
            kernel,
            padding=kernel // 2,
            padding_mode="replicate",
            groups=views,
        )
        self.gamma = nn.Parameter(torch.zeros(views))
        # Per receiver: kernels (1 + senders, C, hidden, k, k); entry 0 is the view's own.
        self.kernels = nn.ParameterList(
            nn.Parameter(torch.empty(1 + len(heard), shape.channels, hidden, kernel, kernel))
            for heard in shape.graph.senders
        )
        self.biases = nn.ParameterList(
            nn.Parameter(torch.empty(1 + len(heard), shape.channels)) for heard in shape.graph.senders
        )
        self.messages = message_maps(shape.graph, hidden)
        self._initialise()

    def _initialise(self) -> None:
        """Every convolution as torch initialises one of its own."""
        for kernels, biases in zip(self.kernels, self.biases, strict=True):
            # kaiming_uniform(a=sqrt(5)) of one convolution is uniform in +-1/sqrt(fan-in), as its bias is
            bound = 1 / math.sqrt(kernels[0, 0].numel())
            nn.init.uniform_(kernels, -bound, bound)
            nn.init.uniform_(biases, -bound, bound)

    def merged(self, view: int) -> tuple[Tensor, Tensor]:
        """Kernel (C, (1+senders)*hidden, k, k) and bias (C,) of one receiver, gamma and w folded in."""
        kernels, biases = self.kernels[view], self.biases[view]
        factors = torch.full((kernels.shape[0],), self.graph.weights[view], dtype=kernels.dtype)
        factors[0] = 1.0
        factors = factors.to(kernels.device) * self.gamma[view]
        weight = (kernels * factors.view(-1, 1, 1, 1, 1)).permute(1, 0, 2, 3, 4).flatten(1, 2)
        return weight, (biases * factors.view(-1, 1)).sum(0)

    def forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        """Map x (B, V, C/2, H, W) and condition (B, V, 1, H, W) to s and t, each (B, V, C/2, H, W)."""
        convolution = self._convolution(x)
        inputs = [x] if condition is None else [x, condition]
        views = [maps.unbind(1) for maps in inputs]
        prepared = [[convolution.prepare(maps) for maps in view] for view in zip(*views, strict=True)]
        weights, biases = (tensor.chunk(len(prepared)) for tensor in self.first.parameters())
        hidden = F.relu(convolution.convolve(prepared, weights, biases))
        heard = self.messages(hidden.unbind(1), convolution.prepare)
        weights, biases = zip(*map(self.merged, range(len(heard))), strict=True)
        s, t = convolution.convolve(heard, weights, biases).chunk(2, dim=2)
        return s, t

    def _convolution(self, x: Tensor) -> Convolution:
        kernel = self.first.kernel_size[0]
        mixed = torch.is_autocast_enabled(x.device.type)
        if (
            self.winograd
            and self.training
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not mixed
        ):
            return winograd(kernel, *x.shape[-2:])
        return DirectConvolution(kernel)


class CouplingBlock(nn.Module):
    """Fixed permutation per view, then an affine coupling of both halves."""

    permutation: Tensor

    def __init__(self, shape: FlowShape, kernel: int, seed: int) -> None:
        super().__init__()
        self.clamp = shape.clamp
        # The published flow draws its permutations from NumPy's legacy generator and does not store them.
        draw = np.random.RandomState(seed)
        orders = np.stack([draw.permutation(shape.channels) for _ in range(shape.graph.views)])
        self.register_buffer("permutation", torch.from_numpy(orders).long(), persistent=False)
        self.net1 = CrossViewNet(shape, kernel)
        self.net2 = CrossViewNet(shape, kernel)

    def forward(self, x: Tensor, condition: Tensor | None) -> FlowOutput:
        """Transform x (B, V, C, H, W); condition is (B, V, 1, H, W) or None."""
        x = self._permute(x, self.permutation)
        x1, x2 = x.chunk(2, dim=2)
        log2, t2 = self._coefficients(self.net2, x2, condition)
        y1 = log2.exp() * x1 + t2
        log1, t1 = self._coefficients(self.net1, y1, condition)
        y2 = log1.exp() * x2 + t1
        y = torch.cat([y1, y2], dim=2).clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT)
        return FlowOutput(y, log1.sum(2) + log2.sum(2))

    def inverse(self, y: Tensor, condition: Tensor | None) -> Tensor:
        """The input that gives ``y`` (B, V, C, H, W), where no output was clamped."""
        y1, y2 = y.chunk(2, dim=2)
        log1, t1 = self._coefficients(self.net1, y1, condition)
        x2 = (y2 - t1) * (-log1).exp()
        log2, t2 = self._coefficients(self.net2, x2, condition)
        x1 = (y1 - t2) * (-log2).exp()
        return self._permute(torch.cat([x1, x2], dim=2), self.permutation.argsort(1))

    def _coefficients(self, net: CrossViewNet, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        s, t = net(x, condition)
        s = s.to(x.dtype)  # under mixed precision only the products are short
        return self.clamp * CLAMP_FACTOR * torch.atan(s / self.clamp), t

    @staticmethod
    def _permute(x: Tensor, order: Tensor) -> Tensor:
        views, channels = order.shape
        offsets = torch.arange(views, device=order.device).unsqueeze(1) * channels
        return x.flatten(1, 2)[:, (order + offsets).flatten()].view_as(x)


class MultiFlow(nn.Module):
    """K coupling blocks over the feature maps of V views."""

    def __init__(self, shape: FlowShape) -> None:
        super().__init__()
        if shape.channels % 2:
            raise ConfigError(
                f"the flow needs an even number of channels, the extractor gives {shape.channels}; "
                "choose another layer"
            )
        self.shape = shape
        self.blocks = nn.ModuleList(
            CouplingBlock(shape, kernel, seed) for seed, kernel in enumerate(shape.kernels)
        )

    @property
    def winograd(self) -> tuple[int, ...]:
        """Kernel sizes that are trained by Winograd's form on a CPU; none unless set."""
        nets = [module for module in self.modules() if isinstance(module, CrossViewNet) and module.winograd]
        return tuple(sorted({net.first.kernel_size[0] for net in nets}))

    @winograd.setter
    def winograd(self, kernels: Collection[int]) -> None:
        for module in self.modules():
            if isinstance(module, CrossViewNet):
                module.winograd = module.first.kernel_size[0] in kernels

    def forward(self, features: Tensor, noise: Tensor | None = None) -> FlowOutput:
        """Features (B, V, C, H, W) to latents and log-determinants.

        Args:
            noise: the condition (B, V, 1, H, W) of a conditioned flow; None at inference, where it is 0.
        """
        condition = self._condition(features, noise)
        z = features
        log_det = features.new_zeros(())
        for block in self.blocks:
            z, contribution = block(z, condition)
            log_det = log_det + contribution
        return FlowOutput(z, log_det)

    def inverse(self, z: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents (B, V, C, H, W) back to features."""
        condition = self._condition(z, noise)
        for block in reversed(self.blocks):
            z = block.inverse(z, condition)  # type: ignore[operator]
        return z

    def _condition(self, like: Tensor, noise: Tensor | None) -> Tensor | None:
        if not self.shape.conditioned:
            return None
        return noise if noise is not None else torch.zeros_like(like[:, :, :1])


def nll_map(output: FlowOutput, mask: Tensor | None = None) -> Tensor:
    """Negative log-likelihood per pixel and channel, (B, V, H, W).

    Args:
        mask: foreground (B, V, H, W) of 0 and 1; background pixels get 0.
    """
    nll: Tensor = (0.5 * output.z.square().sum(2) - output.log_det) / output.z.shape[2]
    return nll if mask is None else nll * mask
