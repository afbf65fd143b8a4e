"""The forms of a rewritten flow against each other, over widths: the basis of ``rewriting/forms.py``."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import click
import openvino as ov
import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from benchmarks.graphs.graph_timing import random_images, timed_in_turns
from benchmarks.graphs.random_models import convolutions_in_int8, graph_of
from edgeflow_export.conversion.rewriting.forms import (
    PermutationForm,
    SecondForm,
    permutation_form,
    second_form,
)
from edgeflow_export.conversion.rewriting.nets import InferenceNet
from edgeflow_export.conversion.rewriting.permutations import Permutation
from edgeflow_export.models.multiflow import CouplingBlock, FlowShape
from edgeflow_export.models.view_graph import view_graph

SECONDS: tuple[SecondForm, ...] = ("per receiver", "dense")
PERMUTATIONS: tuple[PermutationForm, ...] = ("per view", "dense")
WIDTHS = ((16, 16), (32, 16), (32, 24), (32, 32), (64, 32), (152, 32), (152, 64))  # C/2, hidden
KERNELS, GRAPHS = (1, 3, 5), (("cs_neigh", 5), ("cs_neigh_only", 5), ("cs_neigh", 12))
HALVES = (16, 32, 64, 152)


@click.command()
@click.option("--turns", type=click.IntRange(min=5), default=30, show_default=True)
@click.option("--cells", type=click.IntRange(min=8), default=32, show_default=True, help="Side of a map.")
@click.option("--quick", is_flag=True, help="Only the graph of the recipes, kernels 1 and 3.")
def main(turns: int, cells: int, quick: bool) -> None:
    """Ratios of processor time, one thread; below 1 the dense form is faster."""
    console = Console(highlight=False)
    table = Table("graph", "views", "C/2", "hidden", "kernel", "dense, fp32", "dense, INT8", "the rule takes")
    for shape, name in _shapes(quick):
        kernel = shape.kernels[0]
        fp32, int8 = _ratios([_Second(shape, form) for form in SECONDS], shape, cells, turns)
        cells_of_row = (name, shape.graph.views, shape.channels // 2, shape.hidden, kernel)
        chosen = second_form(shape, kernel)
        table.add_row(*map(str, cells_of_row), f"{fp32:.2f}", f"{int8:.2f}", chosen)
    console.print(table)
    table = Table("views", "C/2", "dense permutation, fp32", "INT8", "the rule takes")
    for views, half in itertools.product((5,) if quick else (2, 5, 12), HALVES):
        shape = _shape("cs_neigh", views, half, 16, 1)
        fp32, int8 = _ratios([_Permuted(shape, form) for form in PERMUTATIONS], shape, cells, turns)
        chosen_form = permutation_form(views)
        table.add_row(str(views), str(half), f"{fp32:.2f}", f"{int8:.2f}", chosen_form)
    console.print(table)


def _shapes(quick: bool) -> Iterator[tuple[FlowShape, str]]:
    kernels = KERNELS[:2] if quick else KERNELS
    for (name, views), (half, hidden), kernel in itertools.product(
        GRAPHS[:1] if quick else GRAPHS, WIDTHS, kernels
    ):
        yield _shape(name, views, half, hidden, kernel), name


def _shape(graph: str, views: int, half: int, hidden: int, kernel: int) -> FlowShape:
    return FlowShape(
        channels=2 * half,
        hidden=hidden,
        kernels=(kernel,),
        clamp=1.9,
        conditioned=True,
        graph=view_graph(graph, views),
    )


def _ratios(modules: Sequence[nn.Module], shape: FlowShape, cells: int, turns: int) -> tuple[float, float]:
    """Time of the second module over the first's, in fp32 and in INT8."""
    example = torch.zeros(1, shape.graph.views * shape.channels // 2, cells, cells)
    graphs = {name: graph_of(m, example) for name, m in zip(("before", "dense"), modules, strict=True)}
    int8: dict[str, ov.Model] = {
        name: convolutions_in_int8(graph.clone(), random_images(graph)) for name, graph in graphs.items()
    }
    fp32_ratio, int8_ratio = (
        timed_in_turns(models, threads=1, turns=turns)["dense"].ratio for models in (graphs, int8)
    )
    return fp32_ratio, int8_ratio


class _Second(nn.Module):
    """A net in one form; what follows s and t in a flow follows here."""

    def __init__(self, shape: FlowShape, form: SecondForm) -> None:
        super().__init__()
        torch.manual_seed(0)
        block = CouplingBlock(shape, shape.kernels[0], 0)
        with torch.no_grad():
            block.net1.gamma.fill_(0.7)
            self.net = InferenceNet(block.net1, channels=shape.channels, clamp=shape.clamp, form=form)

    def forward(self, x: Tensor) -> Tensor:
        s, t = self.net(x)
        result: Tensor = torch.exp(s) * x + t
        return result


class _Permuted(nn.Module):
    """A permutation in one form between element-wise operations, as in a flow."""

    def __init__(self, shape: FlowShape, form: PermutationForm) -> None:
        super().__init__()
        self.permutation = Permutation(CouplingBlock(shape, 1, 0).permutation, form)

    def forward(self, x: Tensor) -> Tensor:
        x1, x2 = self.permutation(x * 1.1, torch.exp(x))
        result: Tensor = x1 * x2
        return result


if __name__ == "__main__":
    main()
