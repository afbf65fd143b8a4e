"""The nearest normal features of a part."""

from __future__ import annotations

import pytest
import torch

from edgeflow_export.evaluation.normal_sheet import normal_appearance
from edgeflow_export.models.multiflow import FlowShape, MultiFlow
from edgeflow_export.models.view_graph import view_graph


@pytest.fixture
def flow() -> MultiFlow:
    torch.manual_seed(0)
    shape = FlowShape(
        channels=8, hidden=6, kernels=(3, 3, 5), clamp=1.9, conditioned=True, graph=view_graph("cs_neigh", 3)
    )
    flow = MultiFlow(shape).eval()
    with torch.no_grad():
        for name, parameter in flow.named_parameters():
            if name.endswith("gamma"):
                parameter.uniform_(0.5, 1.5)
    return flow


def test_latents_within_the_limit_give_the_features_back(flow: MultiFlow) -> None:
    features = torch.randn(2, 3, 8, 6, 5)
    normal = normal_appearance(flow, features, limit=1e4)
    assert (normal.features - features).abs().max() < 1e-4 * features.abs().max()
    assert normal.difference.max() < 1e-4


def test_latents_at_their_mean_do_not_depend_on_the_part(flow: MultiFlow) -> None:
    one, other = (normal_appearance(flow, torch.randn(1, 3, 8, 6, 5)).features for _ in range(2))
    assert torch.equal(one, other)
    with torch.inference_mode():
        assert flow(one).z.abs().max() < 1e-4


def test_unlikely_feature_is_where_most_has_to_change(flow: MultiFlow) -> None:
    features = 0.1 * torch.randn(1, 3, 8, 12, 12)
    features[0, 1, :, 3, 9] += 20
    difference = normal_appearance(flow, features, limit=3).difference
    assert divmod(int(difference[0, 1].argmax()), 12) == (3, 9)
    assert difference[0, 1, 3, 9] > 10 * difference.median()
