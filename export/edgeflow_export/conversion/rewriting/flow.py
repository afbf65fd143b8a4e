"""The flow for inference: all views side by side along the channels, from the first block to the sum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeflow_export.conversion.rewriting.arctangent import arctangent
from edgeflow_export.conversion.rewriting.forms import (
    PermutationForm,
    SecondForm,
    permutation_form,
    second_form,
)
from edgeflow_export.conversion.rewriting.nets import InferenceNet
from edgeflow_export.conversion.rewriting.permutations import FirstPermutation, Permutation
from edgeflow_export.models.multiflow import CLAMP_FACTOR, OUTPUT_LIMIT, CouplingBlock, FlowShape, MultiFlow

__all__ = ["InferenceFlow"]


class InferenceFlow(nn.Module):
    """Standardised features (V, C, h, w) to negative log-likelihood (V, h, w).

    Attributes:
        second: the form of every block's second convolutions.
        permutation: the form of all permutations.
    """

    def __init__(self, flow: MultiFlow) -> None:
        super().__init__()
        shape = flow.shape
        self.views, self.channels = shape.graph.views, shape.channels
        self.scale = shape.clamp * CLAMP_FACTOR
        self.second = tuple(second_form(shape, kernel) for kernel in shape.kernels)
        self.permutation = permutation_form(self.views)
        self.blocks = nn.ModuleList(
            _Block(block, shape, form, self.permutation, first=not place)
            for place, (block, form) in enumerate(zip(_blocks(flow), self.second, strict=True))
        )

    def forward(self, features: Tensor) -> Tensor:
        """Features of all views to their maps."""
        # By slices: OpenVINO takes a split into three that is joined again for red and blue exchanged.
        joined = torch.cat([features[view : view + 1] for view in range(self.views)], dim=1)
        y1, y2, total = self.blocks[0](joined)
        for block in list(self.blocks)[1:]:
            y1, y2, atans = block(y1, y2)
            total = total + atans
        # One reduction for all log-determinants: they add up pixel by pixel.
        summed = 0.5 * (y1 * y1 + y2 * y2) - self.scale * total
        nll: Tensor = summed.reshape(self.views, self.channels // 2, *summed.shape[2:]).sum(1) / self.channels
        return nll


class _Block(nn.Module):
    """A permutation and a coupling: to y1 and y2 (1, V*C/2, h, w), and atan(s/clamp) of both, summed.

    Args:
        first: it takes all channels (1, V*C, h, w), view after view; the others take the halves of the
            block before.
    """

    def __init__(
        self,
        block: CouplingBlock,
        shape: FlowShape,
        second: SecondForm,
        permutation: PermutationForm,
        *,
        first: bool,
    ) -> None:
        super().__init__()
        self.scale = block.clamp * CLAMP_FACTOR
        self.permutation = (FirstPermutation if first else Permutation)(block.permutation, permutation)
        self.net1, self.net2 = (
            InferenceNet(net, channels=shape.channels, clamp=block.clamp, form=second)
            for net in (block.net1, block.net2)
        )

    def forward(self, *maps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x1, x2 = self.permutation(*maps)
        s2, t2 = self.net2(x2)
        atan2 = arctangent(s2)
        y1 = torch.exp(self.scale * atan2) * x1 + t2
        s1, t1 = self.net1(y1)
        atan1 = arctangent(s1)
        y2 = torch.exp(self.scale * atan1) * x2 + t1
        y1, y2 = (y.clamp(-OUTPUT_LIMIT, OUTPUT_LIMIT) for y in (y1, y2))
        return y1, y2, atan1 + atan2


def _blocks(flow: MultiFlow) -> list[CouplingBlock]:
    return [block for block in flow.blocks if isinstance(block, CouplingBlock)]
