"""The feature cache: exact, content-addressed, and never fooled by a half-written file."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edgeflow.errors import DataError, StorageError
from edgeflow_export.data.array_cache import default_cache_dir
from edgeflow_export.data.dataset import Dataset, load_dataset, load_images
from edgeflow_export.features.extractors import normalised
from edgeflow_export.features.feature_cache import FeatureStore, cache_features
from edgeflow_export.recipe import load_recipe
from tests.support.tiny import write_parts, write_recipe
from tests.support.tiny_extractor import tiny as tiny_extractor


class Counting(nn.Module):
    """An extractor that counts the parts it has seen, and may stop at one."""

    def __init__(self, *, stop_at: int | None = None, spoil: bool = False) -> None:
        super().__init__()
        self.inner = tiny_extractor()
        self.parts, self.stop_at, self.spoil = 0, stop_at, spoil

    def forward(self, x: Tensor) -> Tensor:
        self.parts += len(x) > 1  # a single image only asks for the shape
        if self.stop_at is not None and self.parts > self.stop_at:
            raise KeyboardInterrupt
        features: Tensor = self.inner(x)
        return features / 0 if self.spoil and len(x) > 1 else features


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    write_parts(tmp_path / "parts", train=6, normal=1, defective=1)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    return load_dataset(load_recipe(tmp_path / "recipe.yaml"))


def fill(dataset: Dataset, folder: Path, extractor: nn.Module, identity: str = "one") -> FeatureStore:
    return cache_features(
        dataset.training, dataset, extractor, identity=identity, folder=folder, progress=False
    )


def test_features_are_exactly_those_of_the_extractor(dataset: Dataset, tmp_path: Path) -> None:
    extractor = Counting()
    store = fill(dataset, tmp_path / "cache", extractor)
    assert store.shape == (3, 8, 8, 8)
    assert len(store) == len(dataset.training)
    for part, features in zip(dataset.training, store, strict=True):
        with torch.inference_mode():
            expected = extractor(normalised(torch.from_numpy(load_images(part, dataset))))
        assert torch.equal(features, expected)
    assert torch.equal(store.batch([1, 0])[0], list(store)[1])


def test_second_run_computes_nothing(dataset: Dataset, tmp_path: Path) -> None:
    first = fill(dataset, tmp_path / "cache", Counting())
    extractor = Counting()
    second = fill(dataset, tmp_path / "cache", extractor)
    assert extractor.parts == 0
    assert second == first


def test_interrupted_run_is_taken_up_where_it_stopped(dataset: Dataset, tmp_path: Path) -> None:
    count = len(dataset.training)
    with pytest.raises(KeyboardInterrupt):
        fill(dataset, tmp_path / "cache", Counting(stop_at=2))
    extractor = Counting()
    fill(dataset, tmp_path / "cache", extractor)
    assert extractor.parts == count - 2


@pytest.mark.parametrize("kept", [0, 100, 2000])
def test_half_written_file_is_computed_again(dataset: Dataset, tmp_path: Path, kept: int) -> None:
    store = fill(dataset, tmp_path / "cache", Counting())
    whole = store.paths[0].read_bytes()
    store.paths[0].write_bytes(whole[:kept])
    extractor = Counting()
    fill(dataset, tmp_path / "cache", extractor)
    assert extractor.parts == 1
    assert store.paths[0].read_bytes() == whole


def test_changed_image_or_extractor_is_computed_again(dataset: Dataset, tmp_path: Path) -> None:
    fill(dataset, tmp_path / "cache", Counting())
    first, other = (part.images["C1"] for part in dataset.training[:2])
    shutil.copyfile(other, first)
    changed = Counting()
    fill(dataset, tmp_path / "cache", changed)
    assert changed.parts == 1
    renewed = Counting()
    fill(dataset, tmp_path / "cache", renewed, identity="two")
    assert renewed.parts == len(dataset.training)


def test_features_that_are_not_finite_name_part_and_view(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"part {dataset.training[0].part_id}, view C1: .*not finite"):
        fill(dataset, tmp_path / "cache", Counting(spoil=True))
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_full_disk_is_refused_before_the_first_part(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1 << 40, 1 << 40, (256 << 20) + 1000))
    extractor = Counting()
    with pytest.raises(StorageError, match=r"need .* GB, 0\.0 GB are free"):
        fill(dataset, tmp_path / "cache", extractor)
    assert extractor.parts == 0


def test_default_folder_follows_the_xdg_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert default_cache_dir() == tmp_path / "edgeflow"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_cache_dir() == tmp_path / "home" / ".cache" / "edgeflow"


def test_features_are_float32_and_mapped_not_loaded(dataset: Dataset, tmp_path: Path) -> None:
    store = fill(dataset, tmp_path / "cache", Counting())
    assert np.load(store.paths[0], mmap_mode="r").dtype == np.float32
