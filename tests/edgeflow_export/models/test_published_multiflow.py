"""Published Multi-Flow checkpoints compute what the published code computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgeflow.errors import CheckpointError, ConfigError
from edgeflow_export.conversion.rewriting import rewrite
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import FlowShape, MultiFlow, nll_map
from edgeflow_export.models.published_multiflow import published_shape
from edgeflow_export.models.published_multiflow import published_state as translated
from edgeflow_export.models.view_graph import view_graph
from tests.support.reference import deviation, given_input, golden, published_state

VIEWS = 5
# recorded output → the graph where the tensor names cannot tell it
RECORDED = {
    "full": None,
    "small_cs_neigh": None,
    "small_cs_neigh_unconditioned": None,
    "small_cs_top": None,
    "small_cs_neigh_only": None,
    "small_cs_seperated": None,
    "small_cs_wrapped": None,
    "small_cs_att_cross": "cs_att_cross",
    "small_cs_att_self": "cs_att_self",
}
TOLERANCE = 1e-5


def loaded(state: dict[str, Tensor], graph: str | None = None) -> MultiFlow:
    shape = published_shape(state, graph=graph)
    flow = MultiFlow(shape)
    flow.load_state_dict(translated(state, shape))
    return flow.eval()


def features_of(published: Path, name: str) -> Tensor:
    shape = (1, 304, 24, 24) if name == "full" else (2, 16, 8, 8)
    views = [given_input(published, f"input/{name}/view{view}", shape, -1, 1) for view in range(VIEWS)]
    return torch.stack(views, dim=1)


@pytest.mark.parametrize("name", RECORDED)
@torch.no_grad()
def test_flow_computes_what_the_published_code_recorded(published: Path, name: str) -> None:
    flow = loaded(published_state(published, f"multiflow_{name}"), RECORDED[name])
    recorded = golden(published, f"multiflow_{name}")
    output = flow(features_of(published, name))
    mask = torch.from_numpy(recorded["mask"]).view(output.log_det.shape)
    nll = nll_map(output, mask)
    assert deviation(nll.flatten(0, 1), recorded["nll_per_pixel"]) <= TOLERANCE
    assert deviation(output.log_det.transpose(0, 1).flatten(0, 1), recorded["jac"]) <= TOLERANCE
    if name == "full":
        assert deviation(output.z[:, :, :8], recorded["z_channels_0_8"]) <= TOLERANCE
    else:
        assert deviation(output.z, recorded["z"]) <= TOLERANCE


@pytest.mark.parametrize("name", ["small_cs_att_cross", "small_cs_att_self"])
@torch.no_grad()
def test_attention_flow_is_undone_by_its_inverse(published: Path, name: str) -> None:
    flow = loaded(published_state(published, f"multiflow_{name}"), RECORDED[name])
    features = features_of(published, name)
    torch.testing.assert_close(flow.inverse(flow(features).z), features, rtol=0, atol=1e-4)


@torch.no_grad()
def test_both_attentions_differ_on_the_same_weights(published: Path) -> None:
    state = published_state(published, "multiflow_small_cs_att_cross")
    features = features_of(published, "small_cs_att_cross")
    cross, own = (loaded(state, graph)(features).z for graph in ("cs_att_cross", "cs_att_self"))
    assert (cross - own).abs().max() > 1e-2


@pytest.mark.parametrize("graph", ["cs_neigh", "cs_att_cross", "cs_att_self"])
@torch.no_grad()
def test_rewritten_flow_keeps_the_messages_of_its_graph(graph: str) -> None:
    torch.manual_seed(0)
    shape = FlowShape(
        channels=8,
        hidden=4,
        kernels=(3, 5),
        clamp=1.9,
        conditioned=True,
        graph=view_graph(graph, 3),
    )
    flow = MultiFlow(shape)
    for name, parameter in flow.named_parameters():
        if name.endswith("gamma"):
            parameter.fill_(0.5)
    model = InspectionModel(nn.Conv2d(3, 8, 4, 4), torch.zeros(8), torch.ones(8), flow).eval()
    images = torch.randint(0, 256, (3, 16, 16, 3), dtype=torch.uint8)
    with torch.no_grad():
        (maps,) = rewrite(model)(images)
    torch.testing.assert_close(maps, model(images), rtol=1e-4, atol=1e-5)


def test_attention_checkpoint_asks_which_attention_it_is(published: Path) -> None:
    with pytest.raises(CheckpointError, match="cs_att_cross from cs_att_self; say which"):
        published_shape(published_state(published, "multiflow_small_cs_att_self"))


def test_naive_checkpoint_is_refused_with_its_reason(published: Path) -> None:
    with pytest.raises(CheckpointError, match="running output into views 3 and 4"):
        published_shape(published_state(published, "multiflow_small_cs_naive"))


def test_random_graph_is_refused_with_its_reason(published: Path) -> None:
    with pytest.raises(ConfigError, match="wiring is not recorded"):
        published_shape(published_state(published, "multiflow_small_cs_neigh"), graph="cs_neigh_random")


def test_missing_and_unused_tensors_are_all_named(published: Path) -> None:
    state = published_state(published, "multiflow_small_cs_neigh")
    shape = published_shape(state)
    gone = [next(name for name in state if name.endswith(end)) for end in ("cross_conv12.bias", "gamma3")]
    for name in gone:
        del state[name]
    state["module_list.7.s1.surplus.weight"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        translated(state, shape)
    expected = {f"missing: {name}" for name in gone} | {"not used: module_list.7.s1.surplus.weight"}
    assert expected <= set(caught.value.problems)


def test_graph_that_the_checkpoint_is_not_of_is_refused(published: Path) -> None:
    state = published_state(published, "multiflow_small_cs_neigh")
    shape = published_shape(state, graph="cs_att_cross")
    with pytest.raises(CheckpointError, match="does not fit its graph") as caught:
        translated(state, shape)
    assert any("att.in_proj_weight" in problem for problem in caught.value.problems)


def test_another_networks_checkpoint_is_recognised(published: Path) -> None:
    with pytest.raises(CheckpointError, match="this is an EfficientNet checkpoint of efficientnet_pytorch"):
        published_shape(published_state(published, "efficientnet_b5"))
