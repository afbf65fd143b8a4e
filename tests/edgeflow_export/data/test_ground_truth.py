"""Masks and labels of test parts: what fits, and what is refused before anything is computed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeflow.errors import DataError
from edgeflow_export.data.dataset import Dataset, load_dataset
from edgeflow_export.data.ground_truth import load_ground_truth
from edgeflow_export.recipe import load_recipe
from tests.support.tiny import SIZE, write_parts, write_recipe


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    write_parts(tmp_path / "parts", train=2, normal=1, defective=2)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    return load_dataset(load_recipe(tmp_path / "recipe.yaml"))


def mask_of(dataset: Dataset, index: int) -> Path:
    path = dataset.test[index].masks["C2"]
    assert path is not None
    return path


def test_views_with_a_mask_are_defective(dataset: Dataset) -> None:
    truth = load_ground_truth(dataset, (32, 32))
    assert truth.labels == ("OK", "spot", "spot")
    assert truth.defective.tolist() == [[False] * 3, [False, True, False], [False, True, False]]
    assert truth.defective_parts.tolist() == [False, True, True]
    assert [mask.shape for mask in truth.masks] == [(3, 32, 32)] * 3
    assert [int(mask.sum()) for mask in truth.masks] == [0, 64, 64]


def test_blank_mask_does_not_make_a_defective_view_normal(dataset: Dataset) -> None:
    Image.fromarray(np.zeros((SIZE, SIZE), np.uint8)).save(mask_of(dataset, 1))
    truth = load_ground_truth(dataset, (32, 32))
    assert truth.defective_parts.tolist() == [False, True, True]
    assert not truth.masks[1].any()


def test_masks_of_another_size_are_named_with_their_images(dataset: Dataset) -> None:
    for index in (1, 2):
        Image.fromarray(np.full((10, 20), 255, np.uint8)).save(mask_of(dataset, index))
    with pytest.raises(DataError, match="2 defect mask") as caught:
        load_ground_truth(dataset, (32, 32))
    assert len(caught.value.problems) == 2
    for index, problem in zip((1, 2), caught.value.problems, strict=True):
        assert f"mask {mask_of(dataset, index)} is 20x10" in problem
        assert f"image {dataset.test[index].images['C2']} is {SIZE}x{SIZE}" in problem


def test_mask_that_is_no_image_is_named(dataset: Dataset) -> None:
    mask_of(dataset, 1).write_bytes(b"not an image")
    with pytest.raises(DataError, match="1 defect mask") as caught:
        load_ground_truth(dataset, (32, 32))
    assert "view C2" in caught.value.problems[0]
    assert str(mask_of(dataset, 1)) in caught.value.problems[0]
