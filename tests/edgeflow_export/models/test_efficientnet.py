"""EfficientNet-B5 from published weights gives the published features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgeflow.errors import CheckpointError
from edgeflow_export.models.efficientnet import CHANNELS, STRIDE, EfficientNetB5, published_efficientnet
from tests.support.reference import deviation, given_input, golden, published_state


@pytest.fixture(scope="module")
def extractor(published: Path) -> EfficientNetB5:
    return published_efficientnet(published_state(published, "efficientnet_b5"))


@pytest.mark.parametrize(("size", "step"), [(256, 1), (768, 8)])
@torch.inference_mode()
def test_features_are_those_that_the_published_code_recorded(
    published: Path, extractor: EfficientNetB5, size: int, step: int
) -> None:
    image = given_input(published, f"input/effnet/{size}", (1, 3, size, size), -2, 2)
    features = extractor(image)
    assert features.shape == (1, CHANNELS, size // STRIDE, size // STRIDE)
    recorded = golden(published, "efficientnet_b5")[f"features_{size}"]
    assert deviation(features[:, ::step], recorded) <= 1e-5


@torch.inference_mode()
def test_batch_of_two_equals_two_single_images(published: Path, extractor: EfficientNetB5) -> None:
    images = given_input(published, "two images", (2, 3, 96, 64), -2, 2)
    singles = torch.cat([extractor(images[:1]), extractor(images[1:])])
    torch.testing.assert_close(extractor(images), singles, rtol=1e-4, atol=1e-5)


def test_timms_own_names_are_read_with_and_without_the_layers_behind(extractor: EfficientNetB5) -> None:
    state = extractor.state_dict()
    for behind in ({}, {"conv_head.weight": torch.zeros(2048, 512, 1, 1)}):
        again = published_efficientnet(state | behind).state_dict()
        assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


def test_extractor_is_frozen(extractor: EfficientNetB5) -> None:
    assert not extractor.training
    assert not any(parameter.requires_grad for parameter in extractor.parameters())


def test_missing_and_unused_tensors_are_all_named(published: Path) -> None:
    state = published_state(published, "efficientnet_b5")
    del state["_blocks.35._bn2.running_var"]
    del state["_bn0.weight"]
    state["_blocks.39._bn2.weight"] = torch.zeros(1)
    state["_blocks.3._se_squeeze.bias"] = torch.zeros(1)
    with pytest.raises(CheckpointError) as caught:
        published_efficientnet(state)
    assert set(caught.value.problems) == {
        "missing: blocks.5.8.bn3.running_var",
        "missing: bn1.weight",
        "not used: _blocks.39._bn2.weight",
        "not used: _blocks.3._se_squeeze.bias",
    }


def test_another_networks_checkpoint_is_recognised(published: Path) -> None:
    with pytest.raises(CheckpointError, match="this is an MVANet checkpoint; what is needed"):
        published_efficientnet(published_state(published, "mvanet"))
