"""The mask cache: each part's foreground computed once, and none without foreground."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import ViewSpec
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import DataError
from edgeflow_export.data.dataset import Dataset, load_dataset
from edgeflow_export.masks.mask_cache import cache_masks
from edgeflow_export.recipe import load_recipe
from tests.support.tiny import write_parts, write_recipe


class Bright:
    """Foreground is where an image is bright; optionally nothing is, in one view of one part."""

    def __init__(self, identity: str = "bright", *, empty: str | None = None) -> None:
        self.identity, self.empty, self.count = identity, empty, 0

    def masks(
        self,
        part_id: str,
        images: Sequence[RgbImage],
        views: Sequence[ViewSpec],  # noqa: ARG002
        size: tuple[int, int],
    ) -> Masks:
        self.count += 1
        height, width = size
        masks = np.stack([(image[-height:, -width:, 0] > 60).astype(np.uint8) for image in images])
        if part_id == self.empty:
            masks[1] = 0
        return masks


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    write_parts(tmp_path / "parts", train=6, normal=1, defective=1)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    return load_dataset(load_recipe(tmp_path / "recipe.yaml"))


def fill(dataset: Dataset, folder: Path, teacher: Bright, size: tuple[int, int] = (8, 6)) -> Masks:
    return cache_masks(dataset.training, dataset, teacher, size, folder=folder, progress=False)


def test_masks_are_computed_once_per_teacher_and_size(dataset: Dataset, tmp_path: Path) -> None:
    count = len(dataset.training)
    teacher = Bright()
    first = fill(dataset, tmp_path, teacher)
    assert first.shape == (count, 3, 8, 6)
    assert first.dtype == np.uint8
    assert np.array_equal(fill(dataset, tmp_path, teacher), first)
    assert teacher.count == count
    fill(dataset, tmp_path, teacher, (4, 4))
    assert teacher.count == 2 * count
    other = Bright("another")
    fill(dataset, tmp_path, other)
    assert other.count == count


def test_no_parts_give_no_masks(dataset: Dataset, tmp_path: Path) -> None:
    masks = cache_masks((), dataset, Bright(), (8, 6), folder=tmp_path, progress=False)
    assert masks.shape == (0, 3, 8, 6)


def test_a_part_without_foreground_is_named_and_not_kept(dataset: Dataset, tmp_path: Path) -> None:
    bad = dataset.training[2]
    for _ in range(2):
        with pytest.raises(DataError) as caught:
            fill(dataset, tmp_path, Bright(empty=bad.part_id))
        assert f"part {bad.part_id}, view C2: a part without foreground" in caught.value.message
        assert str(bad.images["C2"]) in caught.value.message
    assert fill(dataset, tmp_path, Bright()).shape[0] == len(dataset.training)
