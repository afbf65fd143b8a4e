"""Multi-Flow written down view by view and edge by edge, as published: what benchmarks compare with."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow_export.models.multiflow import (
    CLAMP_FACTOR,
    OUTPUT_LIMIT,
    CouplingBlock,
    CrossViewNet,
    MultiFlow,
)

__all__ = ["PlainFlow"]


class PlainFlow(nn.Module):
    """A flow with convolution messages: one convolution per edge, one loop over views.

    Args:
        like: takes its architecture and copies of its weights from this flow.
    """

    def __init__(self, like: MultiFlow) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            _Block(block) for block in like.blocks if isinstance(block, CouplingBlock)
        )

    def forward(self, features: list[Tensor], noise: Tensor | None) -> Tensor:
        """Features of each view (B, C, H, W) and the condition (B, 1, H, W) to the mean loss."""
        return torch.stack(self.nll_maps(features, noise)).mean()

    def nll_maps(self, features: list[Tensor], noise: Tensor | None) -> list[Tensor]:
        """As :meth:`forward`, to the negative log-likelihood per pixel and channel of each view (B, H, W)."""
        log_dets = [torch.zeros(()) for _ in features]
        for block in self.blocks:
            features, contributions = block(features, noise)
            log_dets = [total + part for total, part in zip(log_dets, contributions, strict=True)]
        return [
            (0.5 * (z**2).sum(dim=1) - log_det) / z.shape[1]
            for z, log_det in zip(features, log_dets, strict=True)
        ]

    def gradients(self) -> dict[str, Tensor]:
        """Gradients under the names and in the shapes of the flow that this one is like."""
        return {
            f"blocks.{index}.{name}.{tensor}": gradient
            for index, block in enumerate(self.blocks)
            for name in ("net1", "net2")
            for tensor, gradient in getattr(block, name).gradients()
        }


class _Block(nn.Module):
    def __init__(self, like: CouplingBlock) -> None:
        super().__init__()
        self.clamp = like.clamp
        self.orders = list(like.permutation)
        self.net1, self.net2 = _Net(like.net1), _Net(like.net2)

    def forward(self, xs: list[Tensor], noise: Tensor | None) -> tuple[list[Tensor], list[Tensor]]:
        halves = [x[:, order].chunk(2, dim=1) for x, order in zip(xs, self.orders, strict=True)]
        outputs2 = self.net2([x2 for _, x2 in halves], noise)
        logs2 = [self._log_scale(s) for s, _ in outputs2]
        y1s = [torch.exp(log) * x1 + t for (x1, _), log, (_, t) in zip(halves, logs2, outputs2, strict=True)]
        outputs1 = self.net1(y1s, noise)
        logs1 = [self._log_scale(s) for s, _ in outputs1]
        y2s = [torch.exp(log) * x2 + t for (_, x2), log, (_, t) in zip(halves, logs1, outputs1, strict=True)]
        ys = [
            torch.clamp(torch.cat([y1, y2], dim=1), -OUTPUT_LIMIT, OUTPUT_LIMIT)
            for y1, y2 in zip(y1s, y2s, strict=True)
        ]
        return ys, [(a.sum(dim=1) + b.sum(dim=1)) for a, b in zip(logs1, logs2, strict=True)]

    def _log_scale(self, s: Tensor) -> Tensor:
        return self.clamp * CLAMP_FACTOR * torch.atan(s / self.clamp)


class _Net(nn.Module):
    def __init__(self, like: CrossViewNet) -> None:
        super().__init__()
        self.graph = like.graph
        weights, biases = like.first.weight.chunk(like.graph.views), like.first.bias
        self.first = nn.ModuleList(
            _conv(weight, bias)
            for weight, bias in zip(weights, biases.chunk(like.graph.views), strict=True)  # type: ignore[union-attr]
        )
        self.edges = nn.ModuleList(
            nn.ModuleList(_conv(weight, bias) for weight, bias in zip(kernels, biases, strict=True))
            for kernels, biases in zip(like.kernels, like.biases, strict=True)
        )
        self.gammas = nn.ParameterList(nn.Parameter(gamma.detach().clone()) for gamma in like.gamma)

    def forward(self, xs: list[Tensor], noise: Tensor | None) -> list[tuple[Tensor, Tensor]]:
        inputs = xs if noise is None else [torch.cat([x, noise], dim=1) for x in xs]
        hidden = [F.relu(conv(x)) for conv, x in zip(self.first, inputs, strict=True)]
        outputs = []
        for view, edges in enumerate(self._edges()):
            output = edges[0](hidden[view])
            heard = [conv(hidden[u]) for conv, u in zip(edges[1:], self.graph.senders[view], strict=True)]
            if heard:
                output = output + self.graph.weights[view] * sum(heard)
            s, t = (self.gammas[view] * output).chunk(2, dim=1)
            outputs.append((s, t))
        return outputs

    def _edges(self) -> list[list[nn.Module]]:
        """Per receiver its own convolution and those of its senders."""
        return [list(edges.children()) for edges in self.edges]

    def gradients(self) -> Iterator[tuple[str, Tensor]]:
        for name in ("weight", "bias"):
            yield f"first.{name}", torch.cat([getattr(conv, name).grad for conv in self.first])
        for view, edges in enumerate(self._edges()):
            for name, ours in (("weight", "kernels"), ("bias", "biases")):
                yield f"{ours}.{view}", torch.stack([getattr(conv, name).grad for conv in edges])
        yield "gamma", torch.stack([gamma.grad for gamma in self.gammas if gamma.grad is not None])


def _conv(weight: Tensor, bias: Tensor) -> nn.Conv2d:
    outputs, inputs, kernel, _ = weight.shape
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="replicate")
    conv.load_state_dict({"weight": weight.detach(), "bias": bias.detach()})
    return conv
