"""The rewritten model computes the trained model's maps, and each single step keeps the numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.backends.openvino.core import openvino_core
from edgeflow.backends.openvino.split_graph import cut
from edgeflow.contracts.parity import relative_error
from edgeflow_export.conversion.onnx_and_ir import convert_to_ir, export_onnx
from edgeflow_export.conversion.rewriting import rewrite
from edgeflow_export.conversion.rewriting.forms import PermutationForm, SecondForm
from edgeflow_export.conversion.rewriting.inference_model import fold_normalisation
from edgeflow_export.conversion.rewriting.nets import InferenceNet, fold_clamp, merge_messages, without_noise
from edgeflow_export.conversion.rewriting.permutations import FirstPermutation, Permutation
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.mask_head import MaskHead
from edgeflow_export.models.multiflow import CLAMP_FACTOR, CouplingBlock, CrossViewNet, FlowShape, MultiFlow
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
    rewritten = rewrite(trained, (48, 40))
    with torch.no_grad():
        expected, got = trained(images), rewritten(images)[0]
    assert rewritten.forms.stem == ""
    assert got.shape == (views, 6, 5)
    assert relative_error(got.numpy(), expected.numpy()) < 1e-6


@pytest.mark.parametrize("permutation", ["dense", "per view"])
@pytest.mark.parametrize("second", ["dense", "per receiver"])
def test_all_forms_compute_the_same(second: SecondForm, permutation: PermutationForm) -> None:
    shaped = shape()
    block = CouplingBlock(shaped, 3, seed=2)
    nn.init.uniform_(block.net1.gamma, 0.3, 0.9)
    made = InferenceNet(block.net1, channels=CHANNELS, clamp=CLAMP, form=second)
    x = torch.randn(4, CHANNELS, 5, 7)
    ordered = torch.stack([x[view, block.permutation[view]] for view in range(4)])
    x1, x2 = FirstPermutation(block.permutation, permutation)(beside(x))
    assert torch.equal(x1, beside(ordered[:, : CHANNELS // 2]))
    assert torch.equal(x2, beside(ordered[:, CHANNELS // 2 :]))
    halves = [beside(half) for half in x.chunk(2, dim=1)]
    again = Permutation(block.permutation, permutation)(*halves)
    assert all(torch.equal(a, b) for a, b in zip(again, (x1, x2), strict=True))
    s, t = block.net1(x.chunk(2, dim=1)[0].unsqueeze(0), torch.zeros(1, 4, 1, 5, 7))
    got = made(halves[0])
    torch.testing.assert_close(got[0] * CLAMP, beside(s[0]), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got[1], beside(t[0]), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("views", [2, 3])
def test_openvino_computes_a_headed_model_whole_and_in_two_parts(views: int, tmp_path: Path) -> None:
    trained = model("cs_neigh", views)
    trained.mask_head = MaskHead(8, (views, 4, 4)).eval()
    images = torch.randint(0, 256, (views, 32, 32, 3), dtype=torch.uint8)
    expected = [output.numpy() for output in trained.outputs(images)]
    path = tmp_path / "model.onnx"
    export_onnx(rewrite(trained, (32, 32)), images, ("maps", "foreground"), path)
    parts = cut(convert_to_ir(path))
    assert parts is not None
    whole, extractor, flow = (
        openvino_core().compile_model(graph, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        for graph in (convert_to_ir(path), parts.extractor, parts.flow)
    )
    for found in (whole(images.numpy()), flow(np.array(extractor(images.numpy())[0]))):
        for place, output in enumerate(expected):
            assert relative_error(np.array(found[place]), output) < 1e-5


def beside(maps: Tensor) -> Tensor:
    """(V, c, h, w) to (1, V*c, h, w)."""
    return maps.reshape(1, -1, *maps.shape[2:])


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


CHANNELS, HIDDEN, CLAMP = 6, 4, 1.9


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    torch.manual_seed(0)
    with torch.no_grad():
        yield


def shape(graph: str = "cs_neigh", *, conditioned: bool = True) -> FlowShape:
    return FlowShape(
        channels=CHANNELS,
        hidden=HIDDEN,
        kernels=(3,),
        clamp=CLAMP,
        conditioned=conditioned,
        graph=view_graph(graph, 4),
    )


def net(graph: str = "cs_neigh", *, conditioned: bool = True) -> CrossViewNet:
    made = CrossViewNet(shape(graph, conditioned=conditioned), 3)
    nn.init.uniform_(made.gamma, 0.3, 0.9)
    return made


def padded(x: Tensor) -> Tensor:
    return F.pad(x, (1, 1, 1, 1), mode="replicate")


@pytest.mark.parametrize("conditioned", [True, False])
def test_noise_of_zero_can_be_left_out(conditioned: bool) -> None:
    made = net(conditioned=conditioned)
    x = torch.randn(1, 4, CHANNELS // 2, 5, 7)
    whole = torch.cat([x, torch.zeros(1, 4, 1, 5, 7)], dim=2) if conditioned else x
    expected = made.first(whole.flatten(1, 2))
    got = F.conv2d(padded(x.flatten(1, 2)), without_noise(made, CHANNELS // 2), made.first.bias, groups=4)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("graph", ["cs_neigh", "cs_top", "cs_neigh_only", "cs_seperated", "cs_wrapped"])
def test_messages_of_a_receiver_are_one_convolution(graph: str) -> None:
    made = net(graph)
    hidden = [torch.randn(1, HIDDEN, 5, 7) for _ in range(4)]
    for view, (kernel, bias) in enumerate(merge_messages(made)):
        heard = made.graph.senders[view]
        convs = [
            F.conv2d(padded(hidden[u]), weight, offset)
            for u, weight, offset in zip((view, *heard), made.kernels[view], made.biases[view], strict=True)
        ]
        expected = made.gamma[view] * (convs[0] + made.graph.weights[view] * sum(convs[1:]))
        got = F.conv2d(padded(torch.cat([hidden[u] for u in (view, *heard)], dim=1)), kernel, bias)
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_clamp_is_folded_into_the_half_that_gives_s() -> None:
    x = torch.randn(1, HIDDEN, 5, 7)
    kernel, bias = torch.randn(CHANNELS, HIDDEN, 1, 1), torch.randn(CHANNELS)
    s, t = F.conv2d(x, kernel, bias).chunk(2, dim=1)
    scaled, same = F.conv2d(x, *fold_clamp(kernel, bias, CLAMP)).chunk(2, dim=1)
    expected = CLAMP * CLAMP_FACTOR * torch.atan(s / CLAMP)
    torch.testing.assert_close(CLAMP * CLAMP_FACTOR * torch.atan(scaled), expected)
    torch.testing.assert_close(same, t)


def test_normalisation_is_one_product_and_one_sum() -> None:
    mean, std = torch.randn(3), torch.rand(3) + 0.5
    x = torch.randint(0, 256, (10, 3)).float()
    scale, offset = fold_normalisation(mean, std, unit=255)
    torch.testing.assert_close(x * scale + offset, (x / 255 - mean) / std, rtol=1e-5, atol=1e-6)
