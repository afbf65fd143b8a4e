"""Multi-Flow: the published numbers, an inverse, and a log-determinant that is one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.models.published_multiflow import (
    is_published_multiflow,
    published_shape,
    published_state,
)
from edgeflow_export.models.view_graph import GRAPHS, view_graph
from tests.support import reference
from tests.support.published_weights import uniform

PUBLISHED = [
    "small_cs_neigh",
    "small_cs_top",
    "small_cs_neigh_only",
    "small_cs_seperated",
    "small_cs_wrapped",
    "small_cs_neigh_unconditioned",
    "full",
]


def small(views: int, *, graph: str = "cs_neigh", channels: int = 6, conditioned: bool = True) -> MultiFlow:
    torch.manual_seed(0)
    shape = FlowShape(
        channels=channels,
        hidden=4,
        kernels=(3, 1),
        clamp=1.9,
        conditioned=conditioned,
        graph=view_graph(graph, views),
    )
    flow = MultiFlow(shape).double().eval()
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if name.endswith("gamma"):  # a fresh flow is the identity
                parameter.uniform_(0.5, 1.5)
    return flow


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_give_the_published_numbers(published: Path, name: str) -> None:
    state = reference.published_state(published, f"multiflow_{name}")
    assert is_published_multiflow(set(state))
    shape = published_shape(state)
    flow = MultiFlow(shape)
    flow.load_state_dict(published_state(state, shape))
    size = (1, 304, 24, 24) if name == "full" else (2, 16, 8, 8)
    views = [uniform(f"input/{name}/view{v}", size, -1, 1) for v in range(5)]
    with torch.inference_mode():
        output = flow.eval()(torch.from_numpy(np.stack(views, 1)))
    with np.load(published / f"multiflow_{name}.npz") as golden:
        jac, expected, mask = golden["jac"], golden["nll_per_pixel"], golden["mask"]
    nll = nll_map(output).flatten(0, 1).numpy() * np.asarray(mask, np.float32).reshape(expected.shape)
    assert np.abs(nll - expected).max() < 1e-5 * np.abs(expected).max()
    log_det = output.log_det.transpose(0, 1).flatten(0, 1).numpy()
    assert np.abs(log_det - jac).max() < 1e-5 * np.abs(jac).max()


def test_missing_and_surplus_published_tensors_are_all_named(published: Path) -> None:
    state = reference.published_state(published, "multiflow_small_cs_top")
    shape = published_shape(state)
    removed = "module_list.7.s1.conv_scale2_1.weight"
    del state[removed]
    state["module_list.7.s1.extra"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        published_state(state, shape)
    assert f"missing: {removed}" in caught.value.problems
    assert "not used: module_list.7.s1.extra" in caught.value.problems


@pytest.mark.parametrize("views", range(1, 7))
@pytest.mark.parametrize("graph", GRAPHS)
def test_inverse_gives_the_features_back_for_any_number_of_views(graph: str, views: int) -> None:
    flow = small(views, graph=graph)
    features = torch.randn(2, views, 6, 5, 4, dtype=torch.float64)
    noise = torch.randn(2, views, 1, 5, 4, dtype=torch.float64)
    with torch.inference_mode():
        z = flow(features, noise).z
        assert not torch.allclose(z, features)
        assert torch.allclose(flow.inverse(z, noise), features, atol=1e-9)


def test_log_determinant_is_that_of_the_jacobian() -> None:
    flow = small(3, channels=4)
    features = torch.randn(1, 3, 4, 2, 2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda x: flow(x.view_as(features)).z, features.flatten())  # type: ignore[no-untyped-call]
    _, expected = torch.linalg.slogdet(jacobian.reshape(features.numel(), -1))
    assert flow(features).log_det.sum().item() == pytest.approx(expected.item(), rel=1e-9)


def test_every_parameter_gets_a_gradient() -> None:
    flow = small(4)
    features = torch.randn(2, 4, 6, 3, 3, dtype=torch.float64)
    nll_map(flow(features, torch.randn(2, 4, 1, 3, 3, dtype=torch.float64))).mean().backward()  # type: ignore[no-untyped-call]
    for name, parameter in flow.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_views_hear_exactly_their_senders() -> None:
    flow = small(5)
    features = torch.randn(1, 5, 6, 3, 3, dtype=torch.float64, requires_grad=True)
    condition = torch.zeros_like(features[:, :, :1])
    log_scale, _ = flow.blocks[0].net1(features[:, :, :3], condition)  # type: ignore[operator]
    for view, heard in enumerate(flow.shape.graph.senders):
        (gradient,) = torch.autograd.grad(log_scale[0, view].sum(), features, retain_graph=True)
        moved = {v for v in range(5) if gradient[0, v].abs().max() > 0}
        assert moved == {view, *heard}


def test_fresh_flow_is_the_identity_up_to_order() -> None:
    torch.manual_seed(0)
    shape = FlowShape(
        channels=6, hidden=4, kernels=(3, 3), clamp=1.9, conditioned=True, graph=view_graph("cs_neigh", 2)
    )
    features = torch.randn(1, 2, 6, 4, 4)
    with torch.inference_mode():
        output = MultiFlow(shape)(features)
    assert torch.equal(output.log_det, torch.zeros(1, 2, 4, 4))
    assert torch.equal(output.z.sort(dim=2).values, features.sort(dim=2).values)


def test_foreground_mask_only_replaces_scores_by_0() -> None:
    flow = small(2)
    output = flow(torch.randn(1, 2, 6, 4, 4, dtype=torch.float64))
    mask = (torch.rand(1, 2, 4, 4) > 0.5).double()
    masked_latents = output._replace(z=output.z * mask.unsqueeze(2), log_det=output.log_det * mask)
    assert torch.allclose(nll_map(output, mask), nll_map(masked_latents))


def test_odd_number_of_channels_is_refused() -> None:
    with pytest.raises(ConfigError, match="even number of channels"):
        small(2, channels=5)
