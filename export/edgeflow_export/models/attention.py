"""Attention with a single head: what MVANet's modules and Multi-Flow's attention messages have in common."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["SingleHeadAttention"]


class SingleHeadAttention(nn.Module):
    """Scaled dot-product attention; tensors are named as in torch's own multi-head attention.

    Published checkpoints hold torch's module, whose shortcuts for inference get in the way of export.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Query (B, L, E), key and value (B, S, E) to (B, L, E)."""
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            # one head, as an axis of its own: torch's memory-saving kernels want four axes
            F.linear(x, weight, bias).unsqueeze(1)
            for x, weight, bias in zip((query, key, value), weights, biases, strict=True)
        )
        attended: Tensor = self.out_proj(F.scaled_dot_product_attention(q, k, v).squeeze(1))
        return attended
