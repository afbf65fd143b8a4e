"""The self-supervised extractor: synthetic defects that are true to their masks, training that learns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from edgeflow.errors import CheckpointError, DataError
from edgeflow_export.data.dataset import Dataset, load_dataset
from edgeflow_export.features.self_supervised import (
    SAVE_EVERY_STEPS,
    STATE_FILE,
    cell_targets,
    make_example,
    segmentation_loss,
    train_extractor,
)
from edgeflow_export.features.synthetic_defects import KINDS, add_defect, vary
from edgeflow_export.models.compact_net import CompactNet
from edgeflow_export.recipe import SelfSupervisedExtractor, load_recipe
from tests.support.tiny import write_parts, write_recipe

SPEC = SelfSupervisedExtractor(kind="self_supervised", channels=8, steps=12, batch=4, learning_rate=2e-3)


def texture(seed: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.asarray(rng.integers(60, 180, (*size, 3)), np.uint8)


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    write_parts(tmp_path / "parts", train=8, normal=1, defective=1)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    return load_dataset(load_recipe(tmp_path / "recipe.yaml"))


def train(
    dataset: Dataset,
    out: Path,
    spec: SelfSupervisedExtractor = SPEC,
    work: str = "w",
    on_step: Callable[[float], None] | None = None,
) -> CompactNet:
    return train_extractor(spec, dataset, out, fingerprint=work, seed=5, progress=False, on_step=on_step)


def test_defects_change_the_image_only_around_their_mask() -> None:
    image, donor = texture(1), texture(2)
    kinds = set()
    for seed in range(120):
        changed, mask, kind = add_defect(image, donor, np.random.default_rng(seed))
        kinds.add(kind)
        assert changed.shape == image.shape
        assert mask.shape == image.shape[:2]
        different = (changed != image).any(axis=2)
        if mask.any():
            assert different[mask].mean() > 0.8
            assert different.mean() < 0.5
    assert kinds == set(range(len(KINDS)))


def test_defects_come_again_with_their_seed() -> None:
    image, donor = texture(1), texture(2)
    one, two, other = (make_example(image, donor, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert np.array_equal(one.image, two.image)
    assert np.array_equal(one.kinds, two.kinds)
    assert not np.array_equal(one.image, other.image)


def test_given_images_are_left_as_they_are() -> None:
    image, donor = texture(1), texture(2)
    before = image.copy(), donor.copy()
    for seed in range(20):
        make_example(image, donor, np.random.default_rng(seed))
    assert np.array_equal(image, before[0])
    assert np.array_equal(donor, before[1])


def test_variation_keeps_size_and_type() -> None:
    varied = vary(texture(1), np.random.default_rng(0))
    assert varied.shape == (96, 128, 3)
    assert varied.dtype == np.uint8


def test_cells_take_the_kind_that_covers_them_and_leave_traces_out() -> None:
    kinds = torch.zeros(1, 16, 24, dtype=torch.uint8)
    kinds[0, :4, :8] = 3
    kinds[0, 8:12, 8:16] = 2
    kinds[0, 12:16, 8:16] = 1
    kinds[0, 9:16, 10:16] = 1
    kinds[0, 0, 16] = 5
    assert cell_targets(kinds, (2, 3)).tolist() == [[[3, 0, -1], [0, 1, 0]]]


def test_loss_is_low_where_defects_are_named_and_high_where_missed() -> None:
    targets = torch.tensor([[[0, 2], [0, -1]]])
    defective, kind = torch.full((1, 2, 2), -6.0), torch.zeros(1, len(KINDS), 2, 2)
    missed = segmentation_loss(defective, kind, targets)
    defective[0, 0, 1] = 6.0
    found = segmentation_loss(defective, kind, targets)
    kind[0, 1, 0, 1] = 9.0
    named = segmentation_loss(defective, kind, targets)
    assert missed > 1
    assert named < 0.01 < found < missed
    defective[0, 1, 1] = 50.0  # a cell that is left out counts for nothing
    assert torch.equal(segmentation_loss(defective, kind, targets), named)


def test_clipping_gives_the_features_of_its_place() -> None:
    torch.manual_seed(0)
    net = CompactNet(8).eval()
    plain = torch.zeros(1, 3, 128, 128)  # only the position differs from cell to cell
    whole = net(plain)
    window = torch.tensor([[0.5, 0.25, 0.5, 0.5]])
    part = net(plain[:, :, 64:, 32:96], window)
    assert whole.std(dim=(2, 3)).min() > 0
    # Away from the clipping's own edges, whose padding is seen a few cells deep.
    assert torch.allclose(part[:, :, 4:, 4:4], whole[:, :, 12:, 8:8])
    assert not torch.allclose(part, net(plain[:, :, 64:, 32:96]))


def test_training_learns_to_find_defects(dataset: Dataset, tmp_path: Path) -> None:
    losses: list[float] = []
    spec = SPEC.model_copy(update={"steps": 40, "batch": 6, "learning_rate": 5e-3})
    extractor = train(dataset, tmp_path, spec, on_step=losses.append)
    assert len(losses) == 40
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])
    assert not extractor.training


def test_interrupted_training_ends_as_an_uninterrupted_one(dataset: Dataset, tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"steps": SAVE_EVERY_STEPS + 8, "batch": 2})
    whole = train(dataset, tmp_path / "whole", spec)
    steps: list[float] = []

    def interrupt(loss: float) -> None:
        steps.append(loss)
        if len(steps) == SAVE_EVERY_STEPS + 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(dataset, tmp_path / "parted", spec, on_step=interrupt)
    rest: list[float] = []
    resumed = train(dataset, tmp_path / "parted", spec, on_step=rest.append)
    assert len(rest) == 8
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_state_of_other_work_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    train(dataset, tmp_path, SPEC.model_copy(update={"steps": 2}), work="one")
    with pytest.raises(CheckpointError, match="another recipe"):
        train(dataset, tmp_path, work="two")
    (tmp_path / STATE_FILE).write_bytes(b"torn")
    with pytest.raises(CheckpointError, match="--restart"):
        train(dataset, tmp_path, work="one")


def test_loss_that_is_not_finite_stops_with_advice(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the loss is (nan|inf); lower extractor.learning_rate"):
        train(dataset, tmp_path, SPEC.model_copy(update={"learning_rate": 1e30}))
