"""The rewritten model computes what the trained one computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgeflow_export.conversion.rewrite import rewrite
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import CouplingBlock, FlowShape, MultiFlow
from edgeflow_export.models.view_graph import GRAPHS, view_graph
from tests.support.tiny_extractor import tiny as tiny_extractor


def model(graph: str, views: int, *, conditioned: bool = True) -> InspectionModel:
    torch.manual_seed(0)
    shape = FlowShape(
        channels=8,
        hidden=6,
        kernels=(3, 1, 5),
        clamp=1.9,
        conditioned=conditioned,
        graph=view_graph(graph, views),
    )
    flow = MultiFlow(shape)
    for block in flow.blocks:
        assert isinstance(block, CouplingBlock)
        nn.init.uniform_(block.net1.gamma, 0.3, 0.9)
        nn.init.uniform_(block.net2.gamma, 0.3, 0.9)
    return InspectionModel(tiny_extractor(), torch.randn(8) * 0.1, torch.rand(8) + 0.5, flow).eval()


@pytest.mark.parametrize("graph", sorted(GRAPHS))
@pytest.mark.parametrize("views", [1, 2, 3, 5])
def test_maps_are_equal_for_every_graph_and_number_of_views(graph: str, views: int) -> None:
    trained = model(graph, views)
    images = torch.randint(0, 256, (views, 48, 40, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected, got = trained(images), rewrite(trained)(images)[0]
    assert got.shape == (views, 6, 5)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


def test_flow_without_noise_channel_is_rewritten_too() -> None:
    trained = model("cs_neigh", 5, conditioned=False)
    images = torch.randint(0, 256, (5, 32, 32, 3), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(rewrite(trained)(images)[0], trained(images), rtol=1e-5, atol=1e-4)


def test_rewriting_leaves_the_trained_model_as_it_was() -> None:
    trained = model("cs_neigh", 3)
    before = {name: tensor.clone() for name, tensor in trained.state_dict().items()}
    rewrite(trained)
    assert all(torch.equal(before[name], tensor) for name, tensor in trained.state_dict().items())
