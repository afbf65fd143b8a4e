"""Parts of a recipe: splits that stay put, pixels as the model sees them, errors that name the parts."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.errors import ConfigError, DataError
from edgeflow_export.data.dataset import (
    ahead,
    iterate_images,
    load_dataset,
    load_images,
    load_masks,
    require_test_parts,
    require_training_parts,
)
from edgeflow_export.recipe import ImageSpec, Recipe, load_recipe
from tests.support.tiny import SIZE, VIEWS, write_parts, write_recipe


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_parts(tmp_path / "parts", train=12, normal=2, defective=2)
    return tmp_path / "parts"


@pytest.fixture
def recipe(root: Path) -> Recipe:
    write_recipe(root.parent / "recipe.yaml", root)
    return load_recipe(root.parent / "recipe.yaml")


def with_data(recipe: Recipe, **data: object) -> Recipe:
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=data)})


def edit(root: Path, change: str, value: object, *, split: str, kind: str) -> None:
    """Set one field of all entries of a split and kind."""
    path = root / "realiad_jsons" / "disc.json"
    document = json.loads(path.read_text())
    for entry in document[split]:
        if entry["anomaly_class"] == kind:
            entry[change] = value
    path.write_text(json.dumps(document))


def test_parts_are_split_into_training_validation_and_test(recipe: Recipe) -> None:
    dataset = load_dataset(recipe)
    assert dataset.view_ids == VIEWS
    assert dataset.training
    assert dataset.validation
    assert len(dataset.training) + len(dataset.validation) == 12
    assert [part.label for part in dataset.test].count("spot") == 2
    assert not {p.part_id for p in dataset.training} & {p.part_id for p in dataset.validation}


def test_more_parts_do_not_move_the_others_between_splits(recipe: Recipe, tmp_path: Path) -> None:
    before = {part.part_id for part in load_dataset(recipe).validation}
    write_parts(tmp_path / "more", train=20, normal=2, defective=2)
    after = {part.part_id for part in load_dataset(recipe, root=tmp_path / "more").validation}
    first = {f"OK/S{number:04d}" for number in range(1, 13)}
    assert after & first == before
    assert after - first


def test_another_seed_holds_out_other_parts(recipe: Recipe) -> None:
    other = recipe.model_copy(update={"training": recipe.training.model_copy(update={"seed": 4})})
    assert load_dataset(recipe).validation != load_dataset(other).validation


def test_two_parts_are_held_out_even_of_very_few(recipe: Recipe) -> None:
    dataset = load_dataset(with_data(recipe, validation_fraction=1e-9))
    assert len(dataset.validation) == 2


def with_early_stopping(recipe: Recipe, fraction: float) -> Recipe:
    training = recipe.training.model_copy(update={"early_stopping": 3})
    return with_data(recipe.model_copy(update={"training": training}), stopping_fraction=fraction)


def ids_of(parts: Iterable[RecordedPart]) -> set[str]:
    return {part.part_id for part in parts}


def test_early_stopping_has_parts_that_neither_train_nor_set_thresholds(recipe: Recipe) -> None:
    without, dataset = load_dataset(recipe), load_dataset(with_early_stopping(recipe, 0.3))
    assert without.stopping == ()
    assert dataset.validation == without.validation
    assert len(dataset.stopping) >= 2
    learning, stopping = ids_of(dataset.training), ids_of(dataset.stopping)
    assert learning | stopping == ids_of(without.training)
    assert not learning & stopping
    few = load_dataset(with_early_stopping(recipe, 1e-9))
    assert len(few.stopping) == 2
    assert ids_of(few.stopping) <= stopping


def test_parts_for_early_stopping_must_leave_more_to_learn_from(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"data.stopping_fraction 0.9.*leave out\s+training.early_stopping"):
        load_dataset(with_early_stopping(recipe, 0.9))


def test_folders_without_labels_are_all_normal_training_parts(recipe: Recipe, tmp_path: Path) -> None:
    for number in range(6):
        for view in ("top", "left"):
            path = tmp_path / "plain" / f"p{number}" / f"{view}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((20, 30, 3), number, np.uint8)).save(path)
    dataset = load_dataset(with_data(recipe, views=("top", "left")), root=tmp_path / "plain")
    assert dataset.view_ids == ("top", "left")
    assert len(dataset.training) + len(dataset.validation) == 6
    with pytest.raises(DataError, match="0 normal and 0 defective test parts"):
        require_test_parts(dataset)


def test_evidence_of_a_rejected_part_is_no_training_part_before_somebody_calls_it_good(
    recipe: Recipe, tmp_path: Path
) -> None:
    for number in range(4):
        folder = tmp_path / "evidence" / "2026-11-28" / f"s-{number}"
        folder.mkdir(parents=True)
        for name in ("C1", "C1_heat"):
            Image.new("RGB", (SIZE, SIZE), (number, 0, 0)).save(folder / f"{name}.png")
        verdict = "NG" if number == 2 else "OK"
        (folder / "result.json").write_text(json.dumps({"schema": "edgeflow/result/1", "verdict": verdict}))
    recipe = with_data(recipe, root=tmp_path / "evidence")
    with pytest.raises(DataError) as caught:
        load_dataset(recipe)
    assert caught.value.problems == ("part 2026-11-28/s-2: the box judged it NG",)
    (tmp_path / "evidence" / "2026-11-28").rename(tmp_path / "evidence" / "good")
    for seed in range(8):
        training = recipe.training.model_copy(update={"seed": seed})
        dataset = load_dataset(recipe.model_copy(update={"training": training}))
        assert len(dataset.training) + len(dataset.validation) == 4
        assert "good/s-2" not in ids_of(dataset.validation), "all rejects are kept: it would raise thresholds"
    assert dataset.view_ids == ("C1",)


def test_images_are_resized_and_mirrored_views_flipped(recipe: Recipe) -> None:
    plain = load_dataset(recipe)
    mirrored = load_dataset(with_data(recipe, mirror=("C2",)))
    one, other = load_images(plain.test[0], plain), load_images(mirrored.test[0], mirrored)
    assert one.shape == (3, SIZE, SIZE, 3)
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1][:, ::-1])


def test_images_come_in_the_order_of_their_parts(recipe: Recipe) -> None:
    dataset = load_dataset(recipe)
    for part, images in zip(dataset.test, iterate_images(dataset.test, dataset), strict=True):
        assert np.array_equal(images, load_images(part, dataset))


def test_masks_go_through_the_same_geometry(recipe: Recipe) -> None:
    dataset = load_dataset(with_data(recipe, mirror=("C2",)))
    defective = next(part for part in dataset.test if part.defective)
    masks = load_masks(defective, dataset, (SIZE, SIZE))
    assert masks.any(axis=(1, 2)).tolist() == [False, True, False]
    assert masks[1].sum() == 16 * 16
    image = load_images(defective, dataset)[1].astype(float)
    assert image[masks[1]].mean() > image[~masks[1]].mean() + 30


def test_reading_ahead_passes_errors_on() -> None:
    with pytest.raises(ZeroDivisionError):
        list(ahead(lambda n: 1 // n, [2, 1, 0, 1]))


def test_defective_part_among_training_parts_is_named(root: Path, recipe: Recipe) -> None:
    path = root / "realiad_jsons" / "disc.json"
    document = json.loads(path.read_text())
    spots = [entry for entry in document["test"] if entry["image_path"].startswith("spot")]
    document["train"] += spots
    document["test"] = [entry for entry in document["test"] if entry not in spots]
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match="2 defective") as caught:
        load_dataset(recipe)
    assert "spot/S0015" in str(caught.value)


def test_fewer_parts_than_a_batch_are_refused(recipe: Recipe) -> None:
    dataset = load_dataset(recipe)
    with pytest.raises(DataError, match="less than one batch of 50"):
        require_training_parts(dataset, 50)


def test_data_without_normal_parts_is_refused(root: Path, recipe: Recipe) -> None:
    path = root / "realiad_jsons" / "disc.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "train": []}))
    with pytest.raises(DataError, match="0 normal part"):
        require_training_parts(load_dataset(recipe), 4)


def test_defective_parts_without_masks_are_named(root: Path, recipe: Recipe) -> None:
    edit(root, "mask_path", None, split="test", kind="spot")
    with pytest.raises(DataError, match="2 missing mask") as caught:
        require_test_parts(load_dataset(recipe))
    assert "spot/S0016" in str(caught.value)


def test_mask_file_that_is_not_there_is_named(root: Path, recipe: Recipe) -> None:
    mask = next((root / "disc" / "spot").rglob("*.png"))
    mask.unlink()
    with pytest.raises(DataError, match=mask.name):
        require_test_parts(load_dataset(recipe))


def test_mirrored_view_that_no_part_has_is_refused(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"data.mirror.*C9"):
        load_dataset(with_data(recipe, mirror=("C9",)))


def renamed(root: Path, name: str) -> None:
    """Make it the parts of another class."""
    folder = root / "realiad_jsons"
    document = (folder / "disc.json").read_text().replace('"category": "disc"', f'"category": "{name}"')
    (folder / "disc.json").write_text(document)


def test_published_mirroring_is_that_of_the_class_in_the_data(root: Path, recipe: Recipe) -> None:
    renamed(root, "plastic_nut")
    dataset = load_dataset(with_data(recipe, mirror="published"))
    assert {view.id: view.mirror for view in dataset.views} == {"C1": False, "C2": True, "C3": True}
    assert not any(view.mirror for view in load_dataset(recipe).views)


def test_published_mirroring_of_a_class_that_has_none_is_refused(recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"no published mirroring for class 'disc'.*audiojack.*zipper"):
        load_dataset(with_data(recipe, mirror="published"))


def test_published_mirroring_without_a_class_or_with_other_views_is_refused(
    recipe: Recipe, tmp_path: Path
) -> None:
    for view in ("top", "left"):
        path = tmp_path / "plain" / "p1" / f"{view}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(DataError, match=r"needs the Real-IAD class; name it in data\.class_name"):
        load_dataset(with_data(recipe, mirror="published"), root=tmp_path / "plain")
    named = with_data(recipe, mirror="published", class_name="zipper")
    with pytest.raises(DataError, match="is for the cameras C1 to C5, the views are left, top"):
        load_dataset(named, root=tmp_path / "plain")


def test_mask_of_another_size_than_its_image_is_refused(root: Path, recipe: Recipe) -> None:
    dataset = load_dataset(recipe)
    defective = next(part for part in dataset.test if part.defective)
    mask = defective.masks["C2"]
    assert mask is not None
    Image.new("L", (SIZE, SIZE - 1), 255).save(mask)
    with pytest.raises(DataError) as caught:
        load_masks(defective, dataset, (SIZE, SIZE))
    message = caught.value.message
    assert f"part {defective.part_id}, view C2: the mask {mask} is 64x63" in message
    assert f"its image {defective.images['C2']} is 64x64; export the mask" in message


def test_an_image_of_another_size_than_the_others_is_resized_like_them(root: Path, recipe: Recipe) -> None:
    dataset = load_dataset(recipe)
    file = dataset.training[0].images["C1"]
    before = load_images(dataset.training[0], dataset)
    Image.open(file).resize((3 * SIZE, 2 * SIZE)).save(file, quality=95)
    after = load_images(dataset.training[0], dataset)
    assert after.shape == before.shape
    assert np.abs(after[0].astype(float) - before[0]).mean() < 6


def with_geometry(recipe: Recipe, **image: object) -> Recipe:
    changed = {**recipe.image.model_dump(mode="json"), **image}
    return recipe.model_copy(update={"image": ImageSpec.model_validate_json(json.dumps(changed))})


def test_views_have_the_geometry_of_the_recipe_and_keep_the_size_that_it_is_for(recipe: Recipe) -> None:
    first, second, third = VIEWS
    own = with_geometry(
        with_data(recipe, mirror=(third,)),
        fit="letterbox",
        geometry={first: {"crop": [8, 0, 32, 48], "turns": 3}, second: {"fit": "stretch"}},
    )
    data = load_dataset(own)
    cropped, stretched, mirrored = data.views
    assert (cropped.crop, cropped.turns, cropped.camera_size) == ((8, 0, 32, 48), 3, (SIZE, SIZE))
    assert (cropped.letterbox, stretched.letterbox) == ((SIZE, SIZE), None)
    assert (mirrored.mirror, mirrored.camera_size) == (True, None)
    part = data.test[-1]
    seen, masks = load_images(part, data), load_masks(part, data, (SIZE, SIZE))
    assert seen.shape == (3, SIZE, SIZE, 3)
    assert masks[1].any()


@pytest.mark.parametrize(
    ("geometry", "what"),
    [
        (
            {"C9": {"turns": 1}},
            "image.geometry names views that the parts do not have: C9; they have C1",
        ),
        (
            {"C1": {"crop": [40, 0, 32, 8]}},
            r"image\.geometry\.C1: .*crop .* reaches outside the camera's image",
        ),
    ],
)
def test_a_geometry_that_fits_no_view_is_refused(
    recipe: Recipe, geometry: dict[str, object], what: str
) -> None:
    with pytest.raises(DataError, match=what):
        load_dataset(with_geometry(recipe, geometry=geometry))


def test_tiles_that_leave_a_border_are_refused_in_the_recipe(root: Path) -> None:
    path = root.parent / "recipe.yaml"
    write_recipe(path, root)
    document = yaml.safe_load(path.read_text())
    document["image"] |= {"tiles": {"height": 24, "width": 24, "overlap": 8}}
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(ConfigError) as refused:
        load_recipe(path)
    assert "take an image height of 56 or 72" in "; ".join(refused.value.problems)
