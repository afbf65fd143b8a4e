"""MVANet from published weights, in batches, and with test-time augmentation."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from edgeflow.errors import CheckpointError, DataError
from edgeflow_export.models.mvanet import MVANet
from edgeflow_export.models.published_mvanet import published_mvanet
from edgeflow_export.models.test_time_augmentation import SixfoldAverage
from tests.support.reference import deviation, given_input, golden, published_state

INDEX = "backbone.layers.0.blocks.0.attn.relative_position_index"


@pytest.fixture(scope="module")
def network(published: Path) -> MVANet:
    return published_mvanet(published_state(published, "mvanet"))


@torch.inference_mode()
def test_network_computes_what_the_published_code_recorded(published: Path, network: MVANet) -> None:
    image = given_input(published, "input/mvanet/256", (1, 3, 256, 256), -2, 2)
    assert deviation(network(image)[0, 0], golden(published, "mvanet")["logits_256"]) <= 5e-5


@torch.inference_mode()
def test_batch_of_two_equals_two_single_images(published: Path, network: MVANet) -> None:
    images = given_input(published, "two images", (2, 3, 128, 128), -2, 2)
    both = network(images)
    assert both.shape == (2, 1, 128, 128)
    singles = torch.cat([network(images[:1]), network(images[1:])])
    torch.testing.assert_close(both, singles, rtol=1e-4, atol=1e-4)
    assert (both[0] - both[1]).abs().max() > 0.1


def test_size_that_does_not_divide_is_refused(network: MVANet) -> None:
    with pytest.raises(DataError, match="multiples of 128, got 200x256"):
        network(torch.zeros(1, 3, 256, 200))


def test_older_names_of_the_feed_forward_net_are_read(published: Path, network: MVANet) -> None:
    older = {
        name.replace("att.linear5.", "att.linear1.").replace("att.linear6.", "att.linear2."): tensor
        for name, tensor in published_state(published, "mvanet").items()
    }
    assert "multifieldcrossatt.linear1.weight" in older
    assert "multifieldcrossatt.linear5.weight" not in older
    expected = network.state_dict()
    for name, tensor in published_mvanet(older).state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_older_and_newer_names_together_are_refused(published: Path) -> None:
    state = published_state(published, "mvanet")
    state["multifieldcrossatt.linear1.bias"] = state["multifieldcrossatt.linear5.bias"]
    with pytest.raises(CheckpointError, match=r"linear1\.bias: doubled by multifieldcrossatt\.linear5\.bias"):
        published_mvanet(state)


def test_missing_unused_and_misshapen_tensors_are_all_named(published: Path) -> None:
    state = published_state(published, "mvanet")
    del state["backbone.norm2.weight"]
    state["dec_blk1.linear1.weight"] = torch.zeros(256, 128)
    state["shallow.0.bias"] = torch.zeros(64)
    with pytest.raises(CheckpointError) as caught:
        published_mvanet(state)
    assert set(caught.value.problems) == {
        "missing: backbone.norm2.weight",
        "not used: dec_blk1.linear1.weight",
        "shallow.0.bias: shape (64,), needed (128,)",
    }


def test_position_index_of_the_file_has_to_agree(published: Path, network: MVANet) -> None:
    state = published_state(published, "mvanet")
    state[INDEX] = network.get_buffer(INDEX).clone()
    published_mvanet(state)
    state[INDEX][0, 0] += 1
    with pytest.raises(CheckpointError, match="relative_position_index: not the index"):
        published_mvanet(state)


def test_training_heads_are_left_out_and_said_so(published: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = published_state(published, "mvanet")
    state["sideout3.0.weight"] = torch.zeros(1, 128, 3, 3)
    with caplog.at_level(logging.INFO):
        published_mvanet(state)
    assert "sideout3.0.weight" in caplog.text


def test_another_networks_checkpoint_is_recognised(published: Path) -> None:
    with pytest.raises(CheckpointError, match="this is a Multi-Flow checkpoint; what is needed"):
        published_mvanet(published_state(published, "multiflow_small_cs_top"))


class Lopsided(nn.Module):
    """A stand-in network with a kernel that tells left from right; keeps the sizes that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, ...]] = []

    def forward(self, images: Tensor) -> Tensor:
        self.sizes.append(tuple(images.shape))
        return images[:, :1] + 0.5 * images[:, 1:2].roll(1, dims=-1)


def test_average_looks_at_both_mirror_images_at_three_scales() -> None:
    network = Lopsided()
    images = torch.rand(2, 3, 512, 512, generator=torch.Generator().manual_seed(0))
    logits = SixfoldAverage(network)(images)
    assert logits.shape == (2, 1, 512, 512)
    assert network.sizes == [(4, 3, size, size) for size in (384, 512, 640)]
    mirrored = SixfoldAverage(network)(images.flip(-1)).flip(-1)
    torch.testing.assert_close(logits, mirrored, rtol=0, atol=1e-5)
    assert (network(images) - network(images.flip(-1)).flip(-1)).abs().max() > 0.1


def test_average_refuses_sizes_whose_scaled_images_do_not_divide() -> None:
    with pytest.raises(DataError, match="multiples of 512, got 768x512"):
        SixfoldAverage(Lopsided())(torch.zeros(1, 3, 512, 768))
