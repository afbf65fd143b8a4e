"""The form in which each part of a flow is written down, by a rule over shapes alone.

All forms compute the same numbers. Times are measured by ``tools/benchmarks/graphs/graph_forms.py``, never at
export: two exports of one model are the same graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeflow_export.models.multiflow import FlowShape
from edgeflow_export.models.view_graph import ViewGraph

__all__ = ["GraphForms", "PermutationForm", "SecondForm", "permutation_form", "second_form"]

SecondForm = Literal["dense", "per receiver"]
"""The second convolutions of a net: one over all views with zeros where no message goes, or one per view."""

PermutationForm = Literal["dense", "per view"]
"""Permutations as convolutions with one 1 per channel: one over all views, or in groups."""

PRODUCTS_PER_MOVE = 40
"""So many multiplications in a large convolution take as long as one value that is moved in memory."""


@dataclass(frozen=True, kw_only=True)
class GraphForms:
    """The forms of one graph, for the record.

    Attributes:
        second: of every coupling block; none of a patch memory.
        permutation: None of a patch memory, which has none.
        stem: empty where 8-bit images enter the first convolution as they are; else the reason why not.
    """

    second: tuple[SecondForm, ...]
    permutation: PermutationForm | None
    stem: str

    def described(self) -> str:
        """One line for the bundle's manifest."""
        stem = self.stem or "takes 8-bit images"
        if not self.second:
            return f"distances: 1x1 convolutions; stem: {stem}"
        seconds = ", ".join(dict.fromkeys(self.second))
        if len(set(self.second)) > 1:
            seconds = ", ".join(f"{form} in block {n + 1}" for n, form in enumerate(self.second))
        return f"second convolutions: {seconds}; permutations: {self.permutation}; stem: {stem}"


def second_form(shape: FlowShape, kernel: int) -> SecondForm:
    """Dense where the zeros cost less than taking maps apart and joining them anew."""
    graph = shape.graph
    if graph.message != "convolution":
        return "per receiver"
    used = _edges(graph)
    zeros = graph.views**2 - used
    products = zeros * shape.hidden * shape.channels * kernel**2
    moved = (graph.views + used) * shape.hidden + graph.views * shape.channels
    return "dense" if products <= PRODUCTS_PER_MOVE * moved else "per receiver"


def permutation_form(views: int) -> PermutationForm:
    """Per view wherever there are several: a dense one multiplies with zeros and needs its input joined."""
    return "per view" if views > 1 else "dense"


def _edges(graph: ViewGraph) -> int:
    """Convolutions of a net: one per view and one per message."""
    return graph.views + sum(map(len, graph.senders))
