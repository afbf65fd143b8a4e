"""Published data sets and exports of annotations, from a recipe's ``data`` to a measured model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from edgeflow.errors import ConfigError, DataError
from edgeflow_export.data.dataset import load_dataset, load_images, load_masks, require_test_parts
from edgeflow_export.data.ground_truth import load_ground_truth
from edgeflow_export.evaluation.evaluate import evaluate
from edgeflow_export.recipe import Recipe, load_recipe
from edgeflow_export.training.train import train
from tests.support.data_sets import (
    DEFECT,
    coco_image,
    draw,
    draw_mask,
    manta,
    marked,
    polygon,
    write_coco,
)
from tests.support.tiny import write_recipe


def recipe_for(folder: Path, root: Path, *, side: int = 16, **data: object) -> Recipe:
    """The tiny recipe on another data set."""
    path = folder / "recipe.yaml"
    write_recipe(path, root)
    content = yaml.safe_load(path.read_text())
    content["data"] = {"root": str(root), "validation_fraction": 0.4, **data}
    content["image"] = {"height": side, "width": side}
    content["training"] |= {"epochs": 2, "batch": 2}
    path.write_text(yaml.safe_dump(content))
    return load_recipe(path)


def test_five_views_in_one_picture_are_trained_on_and_measured(tmp_path: Path, repository: Path) -> None:
    root = manta(tmp_path / "manta", train=8, normal=3, defective=3, side=32)
    recipe = recipe_for(tmp_path, root, side=32)
    data = load_dataset(recipe)
    assert data.view_ids == ("V1", "V2", "V3", "V4", "V5")
    assert [view.crop for view in data.views] == [(n * 32, 0, 32, 32) for n in range(5)]
    (defective, *_) = (part for part in data.test if part.defective)
    images = load_images(defective, data)
    assert [int(view.max()) == 255 for view in images] == [False, False, True, False, False]
    masks = load_masks(defective, data, (32, 32))
    assert [int(mask.sum()) for mask in masks] == [0, 0, 16, 0, 0]
    where = {"cache_dir": tmp_path / "cache", "search_path": (repository / "tests",), "progress": False}
    report = evaluate(train(recipe, tmp_path / "run", **where), **where).report
    assert (report.parts, report.defective_parts, report.model.views) == (6, 3, data.view_ids)
    assert report.pixel_auroc is not None


def test_pictures_of_two_sizes_cannot_hold_their_views_in_one_place(tmp_path: Path) -> None:
    root = manta(tmp_path / "manta")
    draw(root / "mechanics/nut/train/good/large.png", size=(32, 160))
    with pytest.raises(DataError, match=r"1 part\(s\) have their views in other places than the others"):
        load_dataset(recipe_for(tmp_path, root))


def ad_2(root: Path) -> Path:
    draw(*(root / "train" / "good" / f"{n}.png" for n in range(6)))
    draw(*(root / "validation" / "good" / f"{n}.png" for n in range(3)))
    draw(root / "test_public" / "good" / "0.png", root / "test_public" / "bad" / "0.png")
    draw_mask(root / "test_public" / "ground_truth" / "bad" / "0_mask.png")
    return root


def test_a_data_sets_own_validation_parts_set_the_thresholds(tmp_path: Path) -> None:
    recipe = recipe_for(tmp_path, ad_2(tmp_path / "can"))
    data = load_dataset(recipe)
    assert {part.part_id for part in data.validation} == {f"validation/good/{n}" for n in range(3)}
    assert {part.part_id for part in data.training} == {f"train/good/{n}" for n in range(6)}
    stopping = recipe.model_copy(
        update={"training": recipe.training.model_copy(update={"early_stopping": 2})}
    )
    early = load_dataset(stopping)
    assert early.validation == data.validation
    assert len(early.stopping) == 2
    assert len(early.training) == 4


def test_a_mask_of_another_size_than_its_image_is_refused_by_name(tmp_path: Path) -> None:
    root = ad_2(tmp_path / "can")
    draw_mask(root / "test_public" / "ground_truth" / "bad" / "0_mask.png", size=(8, 8))
    data = load_dataset(recipe_for(tmp_path, root))
    with pytest.raises(DataError, match=r"0_mask.png is 8x8, its image .*0.png is 16x16"):
        load_masks(data.test[0], data, (16, 16))
    with pytest.raises(DataError, match="1 defect mask") as caught:
        load_ground_truth(data, (16, 16))
    assert "0_mask.png is 8x8" in caught.value.problems[0]


def test_a_mask_that_an_export_draws_for_another_size_is_refused_before_it_is_drawn(tmp_path: Path) -> None:
    root = annotated(tmp_path / "export")
    huge = coco_image(0, "images/test/0.png", size=(10**8, 10**8))
    write_coco(
        root / "annotations" / "instances_test.json",
        [huge, coco_image(1, "images/test/1.png")],
        [{"image_id": 0, "category_id": 1, "segmentation": [polygon()]}, {"image_id": 1, "category_id": 3}],
    )
    data = load_dataset(recipe_for(tmp_path, root, unannotated="normal"))
    (defective,) = (part for part in data.test if part.defective)
    with pytest.raises(DataError, match=r"is 100000000x100000000, its image .* is 16x16"):
        load_masks(defective, data, (16, 16))


def annotated(root: Path) -> Path:
    """An export with unannotated images for training, and a defective and a good one for testing."""
    draw(*(root / "images" / "train" / f"{n}.png" for n in range(6)))
    draw(*(root / "images" / "test" / f"{n}.png" for n in range(2)))
    write_coco(
        root / "annotations" / "instances_train.json",
        [coco_image(n, f"{n}.png") for n in range(6)],
        [{"image_id": 0, "category_id": 3, "segmentation": []}],
    )
    write_coco(
        root / "annotations" / "instances_test.json",
        [coco_image(n, f"{n}.png") for n in range(2)],
        [{"image_id": 0, "category_id": 1, "segmentation": [polygon()]}, {"image_id": 1, "category_id": 3}],
    )
    return root


def test_images_without_annotations_are_what_the_recipe_says(tmp_path: Path) -> None:
    root = annotated(tmp_path / "export")
    with pytest.raises(DataError, match=r"5 of 8 parts have no annotation.*set data\.unannotated: normal"):
        load_dataset(recipe_for(tmp_path, root))
    data = load_dataset(recipe_for(tmp_path, root, unannotated="normal"))
    assert len(data.training) + len(data.validation) == 6
    require_test_parts(data)
    truth = load_ground_truth(data, (16, 16))
    assert truth.labels == ("scratch", "OK")
    assert np.array_equal(truth.masks[0][0], marked())
    left = load_dataset(recipe_for(tmp_path, root, unannotated="left_out"))
    assert len(left.training) + len(left.validation) == 1


def test_where_nothing_is_annotated_nothing_is_left(tmp_path: Path) -> None:
    root = annotated(tmp_path / "export")
    write_coco(root / "annotations" / "instances_train.json", [coco_image(0, "0.png")], [])
    (root / "annotations" / "instances_test.json").unlink()
    with pytest.raises(DataError, match="no part has an annotation"):
        load_dataset(recipe_for(tmp_path, root, unannotated="left_out"))


def test_several_masks_of_one_image_are_joined_in_a_recipes_masks(tmp_path: Path) -> None:
    root = tmp_path / "pushpins"
    draw(*(root / "train" / "good" / f"{n}.png" for n in range(4)), root / "validation" / "good" / "0.png")
    draw(root / "test" / "good" / "0.png", root / "test" / "logical_anomalies" / "0.png")
    other = (slice(10, 12), slice(0, 3))
    draw_mask(root / "ground_truth/logical_anomalies/0/000.png", where=DEFECT, value=1)
    draw_mask(root / "ground_truth/logical_anomalies/0/001.png", where=other, value=2)
    data = load_dataset(recipe_for(tmp_path, root))
    require_test_parts(data)
    truth = load_ground_truth(data, (16, 16))
    expected = marked()
    expected[other] = True
    assert np.array_equal(truth.masks[1][0], expected)
    shutil.rmtree(root / "ground_truth" / "logical_anomalies" / "0")
    with pytest.raises(DataError, match="1 missing mask") as caught:
        require_test_parts(load_dataset(recipe_for(tmp_path, root)))
    assert "no such mask" in caught.value.problems[0]


def test_recipes_without_the_new_keys_keep_their_bytes(tmp_path: Path) -> None:
    recipe = recipe_for(tmp_path, tmp_path / "parts")
    text = recipe.data.model_copy(update={"root": Path("parts")}).model_dump_json()
    assert text == (
        '{"root":"parts","class_name":null,"views":null,"mirror":[],"validation_fraction":0.4,'
        '"stopping_fraction":0.1}'
    )
    named = recipe_for(tmp_path, tmp_path / "parts", layout="coco", unannotated="normal")
    assert named.data.model_dump(mode="json")["layout"] == "coco"
    with pytest.raises(ConfigError, match="no layout 'cocoa'; known are real_iad, "):
        recipe_for(tmp_path, tmp_path / "parts", layout="cocoa")


def test_other_parts_than_the_recipes_may_be_laid_out_otherwise(tmp_path: Path) -> None:
    recipe = recipe_for(tmp_path, tmp_path / "gone", layout="manta")
    for number in range(6):
        draw(*(tmp_path / "recorded" / f"p{number}" / f"V{view}.png" for view in range(1, 6)))
    data = load_dataset(recipe, root=tmp_path / "recorded")
    assert data.view_ids == ("V1", "V2", "V3", "V4", "V5")
    assert {view.crop for view in data.views} == {None}
