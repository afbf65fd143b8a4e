"""Banks of patch memories: the farthest patches, within the foreground, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from edgeflow.errors import DataError
from edgeflow_export.features.feature_cache import FeatureStore
from edgeflow_export.features.statistics import feature_statistics
from edgeflow_export.recipe import PatchMemorySpec
from edgeflow_export.training.memory_bank import cross_fitted_maps, fill_memory, k_centres

PARTS, SHAPE = 6, (2, 4, 5, 5)


def store_of(folder: Path) -> FeatureStore:
    paths = [folder / f"{number}.npy" for number in range(PARTS)]
    for number, path in enumerate(paths):
        np.save(path, np.random.default_rng(number).normal(1, 3, SHAPE).astype(np.float32))
    return FeatureStore(paths=tuple(paths), shape=SHAPE)


def test_centres_are_the_farthest_one_after_the_other() -> None:
    points = torch.tensor([[0.0, 0], [1, 0], [10, 0], [0, 4], [10, 1], [0, 0]])
    assert k_centres(points, 4, 0) == [0, 4, 3, 1]
    assert sorted(k_centres(points, 6, 0)) == [0, 1, 2, 3, 4]  # the last equals the first


@pytest.mark.parametrize("averaging", [True, False])
def test_full_bank_holds_every_patch_and_no_part_of_it_is_far(tmp_path: Path, averaging: bool) -> None:
    store = store_of(tmp_path)
    standardise = feature_statistics(store, "channel")
    spec = PatchMemorySpec(patches=None, averaging=averaging)
    memory = fill_memory(store, standardise, spec, seed=0, progress=False)
    assert memory.bank.shape == (2, PARTS * 25, 4)
    with torch.inference_mode():
        maps = torch.stack([memory(standardise(features)) for features in store])
    assert float(maps.max()) < 2e-3


def test_thinned_bank_is_made_of_patches_and_repeats_with_its_seed(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    standardise = feature_statistics(store, "channel")
    spec = PatchMemorySpec(patches=20, averaging=False, projection=2)
    banks = [fill_memory(store, standardise, spec, seed=seed, progress=False).bank for seed in (1, 1, 2)]
    assert torch.equal(banks[0], banks[1])
    assert not torch.equal(banks[0], banks[2])
    every = torch.cat([standardise(features).flatten(2).transpose(1, 2) for features in store], 1)
    for bank, patches in zip(banks[0], every, strict=True):
        nearest = torch.cdist(bank, patches, compute_mode="donot_use_mm_for_euclid_dist").amin(1)
        assert float(nearest.max()) == 0
        assert len(bank.unique(dim=0)) == 20


def test_background_is_not_remembered(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    standardise = feature_statistics(store, "none")
    masks = np.zeros((PARTS, 2, 5, 5), np.uint8)
    masks[:, 0, 2, 1:4] = 1
    masks[:3, 1, 4, 4] = 1
    spec = PatchMemorySpec(patches=None, averaging=False)
    memory = fill_memory(store, standardise, spec, seed=0, masks=masks, progress=False)
    assert memory.bank.shape == (2, 18, 4)
    expected = torch.stack([features[1, :, 4, 4] for features in store][:3])
    assert torch.equal(memory.bank[1].unique(dim=0), expected.unique(dim=0))
    with pytest.raises(DataError, match="view 2: no pixel of the training parts is foreground"):
        fill_memory(store, standardise, spec, seed=0, masks=masks * [[[[1]], [[0]]]], progress=False)


def test_parts_are_judged_by_the_memory_of_the_others(tmp_path: Path) -> None:
    store = store_of(tmp_path)
    standardise = feature_statistics(store, "channel")
    spec = PatchMemorySpec(patches=None)
    maps = cross_fitted_maps(store, standardise, spec, seed=0)
    assert len(maps) == PARTS
    assert min(float(part.min()) for part in maps) > 0.01
    odd = FeatureStore(paths=store.paths[1::2], shape=SHAPE)
    memory = fill_memory(odd, standardise, spec, seed=0, progress=False)
    with torch.inference_mode():
        assert torch.equal(maps[2], memory(standardise(store.batch([2])[0])))
