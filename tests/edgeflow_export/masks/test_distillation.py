"""The distilled head: what it knows before it looks, and what it learns from features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeflow.contracts.scoring import Masks
from edgeflow_export.features.feature_cache import FeatureStore
from edgeflow_export.masks.distillation import PRIOR_LIMIT, distil, intersection_over_union
from edgeflow_export.models.mask_head import MaskHead

PARTS, VIEWS, CHANNELS, SIDE = 40, 3, 4, 16
SHIFT = 1000.0  # what a channel's values lie around: far from 0, as unscaled features may


def make(folder: Path, rng: np.random.Generator, *, moved: int = 0) -> tuple[FeatureStore, Masks]:
    """Parts that fill a square of every view, give or take a cell, on a noisy background."""
    masks = np.zeros((PARTS, VIEWS, SIDE, SIDE), np.uint8)
    features = rng.normal(0, 1, (PARTS, VIEWS, CHANNELS, SIDE, SIDE))
    for mask, maps in zip(
        masks.reshape(-1, SIDE, SIDE), features.reshape(-1, CHANNELS, SIDE, SIDE), strict=True
    ):
        top, left = rng.integers(3, 6, 2) + np.array([0, moved])
        mask[top : top + 7, left : left + 7] = 1
        maps[0] += 2 * mask
        maps[1] = 50 * (maps[1] - mask) + SHIFT
    paths = tuple(folder / f"{number}.npy" for number in range(PARTS))
    folder.mkdir()
    for path, part in zip(paths, features.astype(np.float32), strict=True):
        np.save(path, part)
    return FeatureStore(paths=paths, shape=(VIEWS, CHANNELS, SIDE, SIDE)), masks


def agreement(head: MaskHead, store: FeatureStore, truth: Masks) -> float:
    with torch.inference_mode():
        found = np.stack([(head(features) > 0).numpy() for features in store]).astype(np.uint8)
    return float(intersection_over_union(found, truth).mean())


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


@pytest.fixture
def trained(tmp_path: Path, rng: np.random.Generator) -> tuple[FeatureStore, Masks, MaskHead]:
    store, masks = make(tmp_path / "training", rng)
    return store, masks, distil(store, masks, seed=1, progress=False)


def test_it_finds_parts_that_it_has_not_seen(
    trained: tuple[FeatureStore, Masks, MaskHead], tmp_path: Path, rng: np.random.Generator
) -> None:
    _, masks, head = trained
    others, truth = make(tmp_path / "others", rng)
    usual = np.broadcast_to(masks.mean(0) > 0.5, truth.shape).astype(np.uint8)
    found = agreement(head, others, truth)
    assert found > 0.9
    assert found > float(intersection_over_union(usual, truth).mean()) + 0.1


def test_it_finds_parts_where_none_has_lain(
    trained: tuple[FeatureStore, Masks, MaskHead], tmp_path: Path, rng: np.random.Generator
) -> None:
    others, truth = make(tmp_path / "others", rng, moved=3)
    assert agreement(trained[2], others, truth) > 0.75


def test_what_it_knows_beforehand_is_bounded(trained: tuple[FeatureStore, Masks, MaskHead]) -> None:
    _, masks, head = trained
    share = masks.mean(0)
    limit = np.log((1 - PRIOR_LIMIT) / PRIOR_LIMIT)
    prior = head.prior.numpy()
    np.testing.assert_allclose(prior[share == 0], -limit, rtol=1e-5)
    np.testing.assert_allclose(prior[share == 1], limit, rtol=1e-5)
    assert (np.sign(prior[share > 0.5]) > 0).all()


def test_parts_beside_each_other_give_what_they_give_alone() -> None:
    head = MaskHead(4, (3, 5, 5)).eval()
    head.prior.normal_()
    features = torch.randn(6, 4, 5, 5)
    with torch.inference_mode():
        torch.testing.assert_close(head(features), torch.cat([head(features[:3]), head(features[3:])]))
