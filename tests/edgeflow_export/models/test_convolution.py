"""The flow's convolutions: Winograd's form computes what torch's own does, gradients included."""

from __future__ import annotations

import pytest
import torch

from edgeflow_export.models.convolution import (
    Convolution,
    DirectConvolution,
    WinogradConvolution,
    winograd_pays,
)
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.models.view_graph import view_graph

SIZES = [(24, 24), (5, 7), (1, 1), (2, 9)]
GROUPS = ((0, 1), (2, 0, 1))
"""Groups of the three maps that are convolved together."""


def run(convolution: Convolution, maps: list[torch.Tensor], parameters: list[torch.Tensor]) -> torch.Tensor:
    prepared = [convolution.prepare(one) for one in maps]
    groups = [[prepared[index] for index in group] for group in GROUPS]
    return convolution.convolve(groups, parameters[:2], parameters[2:])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
def test_both_forms_agree_in_values_and_gradients(kernel: int, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = [torch.randn(3, channels, *size, requires_grad=True) for channels in (4, 2, 5)]
    shapes = [(6, 6, kernel, kernel), (6, 11, kernel, kernel), (6,), (6,)]
    parameters = [torch.randn(shape, requires_grad=True) for shape in shapes]
    weighting = torch.randn(3, 2, 6, *size)
    results = []
    for convolution in (DirectConvolution(kernel), WinogradConvolution(kernel, *size)):
        output = run(convolution, maps, parameters)
        gradients = torch.autograd.grad((output * weighting).sum(), [*maps, *parameters])
        results.append([output.detach(), *gradients])
    for direct, winograd in zip(*results, strict=True):
        assert winograd.shape == direct.shape
        assert (winograd - direct).abs().max() <= 5e-5 * direct.abs().max()


@pytest.mark.parametrize("graph", ["cs_neigh", "cs_att_cross"])
def test_training_and_evaluation_compute_the_same_flow(graph: str) -> None:
    torch.manual_seed(0)
    shape = FlowShape(
        channels=6, hidden=4, kernels=(3, 1, 5), clamp=1.9, conditioned=True, graph=view_graph(graph, 3)
    )
    flow = MultiFlow(shape)
    assert flow.winograd == ()
    flow.winograd = (3, 1, 5)
    assert flow.winograd == (1, 3, 5)
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if name.endswith("gamma"):
                parameter.uniform_(0.5, 1.5)
    features = torch.randn(2, 3, 6, 10, 9)
    noise = torch.randn(2, 3, 1, 10, 9)
    with torch.inference_mode():
        trained = nll_map(flow.train()(features, noise))
        evaluated = nll_map(flow.eval()(features, noise))
    assert not torch.equal(trained, evaluated)  # else one of the two forms has not been used
    assert (trained - evaluated).abs().max() < 1e-4 * evaluated.abs().max()


def test_a_kernel_of_one_pixel_multiplies_no_less_in_any_form() -> None:
    for instructions in ("DEFAULT", "AVX2", "AVX512"):
        assert not winograd_pays(1, instructions)
        assert winograd_pays(5, instructions)
    assert winograd_pays(3, "AVX2")
    assert not winograd_pays(3, "AVX512")
