"""Training on images with more than 8 bits, and on such as are to be turned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from edgeflow.errors import DataError
from edgeflow_export.checkpoints.checkpoint import IMAGES_READ, load_checkpoint
from edgeflow_export.checkpoints.model_source import with_views
from edgeflow_export.data.dataset import iterate_images, load_dataset, require_depth
from edgeflow_export.recipe import Recipe, load_recipe
from edgeflow_export.training.train import train
from tests.support.tiny import SIZE, VIEWS, write_recipe

ORIENTATION = 0x112


def write_parts(root: Path, *, bits: int, orientation: int = 1, count: int = 8) -> None:
    """One folder per part; the same pictures whatever their depth and orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    for number in range(count):
        for index, view in enumerate(VIEWS):
            grey = np.random.default_rng([number, index]).integers(40, 250, (SIZE, SIZE), dtype=np.uint8)
            stored = np.rot90(grey) if orientation == 6 else grey
            values = stored if bits == 8 else stored.astype(np.uint16) << (bits - 8)
            file = root / f"p{number:02d}" / f"{view}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(values)).save(file, exif=exif)


def recipe_for(folder: Path, **image: object) -> Recipe:
    write_recipe(folder / "recipe.yaml", folder / "parts")
    recipe = load_recipe(folder / "recipe.yaml")
    extractor = recipe.extractor.model_copy(update={"target": "tests.support.tiny_extractor:tiny"})
    training = recipe.training.model_copy(update={"epochs": 1, "batch": 2})
    images = recipe.image.model_copy(update=image)
    return recipe.model_copy(update={"image": images, "extractor": extractor, "training": training})


def trained(folder: Path, repository: Path, **image: object) -> Path:
    return train(
        recipe_for(folder, **image),
        folder / "run",
        cache_dir=folder / "cache",
        progress=False,
        search_path=(repository / "tests",),
    )


def pixels(folder: Path, **image: object) -> np.ndarray:
    dataset = load_dataset(recipe_for(folder, **image))
    return np.stack(list(iterate_images((*dataset.training, *dataset.validation), dataset)))


def test_depth_and_orientation_make_no_difference_to_what_is_trained_on(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    write_parts(tmp_path / "a" / "parts", bits=8)
    expected = pixels(tmp_path / "a")
    for name, bits, orientation in (("b", 12, 1), ("c", 16, 6), ("d", 8, 6), ("e", 10, 6)):
        (tmp_path / name).mkdir()
        write_parts(tmp_path / name / "parts", bits=bits, orientation=orientation)
        declared = bits if bits > 8 else None
        assert np.array_equal(pixels(tmp_path / name, bits=declared), expected), name


def test_a_data_set_far_below_its_depth_is_not_trained(tmp_path: Path, repository: Path) -> None:
    write_parts(tmp_path / "parts", bits=12)
    with pytest.raises(DataError, match=r"is this 12-bit data\? Then set image\.bits: 12"):
        trained(tmp_path, repository)
    require_depth(load_dataset(recipe_for(tmp_path)), allow_dark=True)
    model = load_checkpoint(trained(tmp_path, repository, bits=12), search_path=(repository / "tests",))
    assert model.provenance[IMAGES_READ] == "bits 12, orientation followed"


def test_a_value_above_the_declared_depth_is_named(tmp_path: Path, repository: Path) -> None:
    write_parts(tmp_path / "parts", bits=12)
    with pytest.raises(DataError, match=r"p0\d/C1\.png: value \d+ is above 1023, the highest of 10 bits"):
        trained(tmp_path, repository, bits=10)


def test_bits_declared_of_8_bit_images_are_refused(tmp_path: Path, repository: Path) -> None:
    write_parts(tmp_path / "parts", bits=8)
    with pytest.raises(DataError, match=r"image\.bits: 12, but the images have 8 bits; leave it out"):
        trained(tmp_path, repository, bits=12)


def test_mixed_depth_is_refused(tmp_path: Path) -> None:
    write_parts(tmp_path / "parts", bits=8)
    values = np.full((SIZE, SIZE), 4000, np.uint16)
    Image.fromarray(values).save(tmp_path / "parts" / "p03" / "C2.png")
    with pytest.raises(DataError, match="of different depth") as caught:
        load_dataset(recipe_for(tmp_path))
    assert str(tmp_path / "parts" / "p03" / "C2.png") in str(caught.value)


def test_the_manifest_will_say_how_images_are_read(tmp_path: Path) -> None:
    write_parts(tmp_path / "parts", bits=12)
    spec = load_dataset(recipe_for(tmp_path, bits=12)).preprocessing
    assert (spec.bits, spec.orientation) == (12, "followed")


@pytest.mark.parametrize(("bits", "orientation"), [(12, 1), (8, 6)])
def test_a_model_of_a_version_that_read_these_images_otherwise_is_refused(
    tmp_path: Path, repository: Path, bits: int, orientation: int
) -> None:
    write_parts(tmp_path / "parts", bits=bits, orientation=orientation)
    declared = bits if bits > 8 else None
    path = trained(tmp_path, repository, bits=declared)
    model = load_checkpoint(path, search_path=(repository / "tests",))
    dataset = load_dataset(recipe_for(tmp_path, bits=declared))
    with_views(model, dataset)
    known = {key: value for key, value in model.provenance.items() if key != IMAGES_READ}
    with pytest.raises(DataError, match="that trained this model did not see; train it again"):
        with_views(dataclasses.replace(model, provenance=known), dataset)


def test_a_model_of_an_older_version_is_as_good_as_ever_on_upright_8_bit_images(
    tmp_path: Path, repository: Path
) -> None:
    write_parts(tmp_path / "parts", bits=8)
    model = load_checkpoint(trained(tmp_path, repository), search_path=(repository / "tests",))
    known = {key: value for key, value in model.provenance.items() if key != IMAGES_READ}
    older = dataclasses.replace(model, provenance=known)
    assert with_views(older, load_dataset(recipe_for(tmp_path))).views == VIEWS
    assert isinstance(older.module, torch.nn.Module)
