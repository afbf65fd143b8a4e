"""Messages between views: the hidden maps that a receiver's convolutions get (arXiv 2504.03306)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow_export.models.attention import SingleHeadAttention
from edgeflow_export.models.view_graph import ViewGraph

__all__ = ["AttentionMessages", "ConvolutionMessages", "message_maps"]


Prepare = Callable[[Tensor], Tensor]
"""Hidden maps in the form that the receivers' convolutions take."""


class ConvolutionMessages(nn.Module):
    """The sender's hidden maps as they are: the receiver's convolution is all there is."""

    def __init__(self, graph: ViewGraph) -> None:
        super().__init__()
        self.senders = graph.senders

    def forward(self, per_view: Sequence[Tensor], prepare: Prepare) -> list[list[Tensor]]:
        """Hidden maps (B, hidden, H, W) of every view to each receiver's own and those that it gets."""
        prepared = [prepare(maps) for maps in per_view]
        return [[prepared[v], *(prepared[u] for u in heard)] for v, heard in enumerate(self.senders)]


class AttentionMessages(nn.Module):
    """The sender's hidden maps seen through attention over all pixels, ReLU and layer normalisation.

    Args:
        cross: the receiver's pixels are the queries; otherwise the sender's own.
    """

    def __init__(self, graph: ViewGraph, hidden: int, *, cross: bool) -> None:
        super().__init__()
        self.cross = cross
        self.senders = graph.senders
        self.edges = nn.ModuleDict(
            {
                _edge(sender, receiver): _Attended(hidden)
                for receiver, heard in enumerate(graph.senders)
                for sender in heard
            }
        )

    def forward(self, per_view: Sequence[Tensor], prepare: Prepare) -> list[list[Tensor]]:
        """Hidden maps (B, hidden, H, W) of every view to each receiver's own and those that it gets."""
        tokens = [maps.flatten(2).transpose(1, 2) for maps in per_view]
        received: list[list[Tensor]] = []
        for receiver, heard in enumerate(self.senders):
            received.append([prepare(per_view[receiver])])
            for sender in heard:
                query = tokens[receiver if self.cross else sender]
                seen = self.edges[_edge(sender, receiver)](query, tokens[sender])
                received[-1].append(prepare(seen.transpose(1, 2).reshape(per_view[sender].shape)))
        return received


class _Attended(nn.Module):
    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.attention = SingleHeadAttention(hidden)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, query: Tensor, sender: Tensor) -> Tensor:
        seen: Tensor = self.norm(F.relu(self.attention(query, sender, sender)))
        return seen


def message_maps(graph: ViewGraph, hidden: int) -> nn.Module:
    """The strategy of a graph: from the hidden maps of every view to those that each receiver gets."""
    if graph.message == "convolution":
        return ConvolutionMessages(graph)
    return AttentionMessages(graph, hidden, cross=graph.message == "cross_attention")


def _edge(sender: int, receiver: int) -> str:
    return f"{sender}to{receiver}"
