"""Training: learns, resumes to the same bits, and leaves finished work alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from edgeflow.errors import CheckpointError, ConfigError, DataError
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.data.dataset import iterate_images, load_dataset
from edgeflow_export.features.self_supervised import STATE_FILE as EXTRACTOR_STATE
from edgeflow_export.recipe import Recipe, SelfSupervisedExtractor, load_recipe
from edgeflow_export.state_file import write_state
from edgeflow_export.training.flow import STATE_FILE as FLOW_STATE
from edgeflow_export.training.train import train
from tests.support.tiny import write_parts, write_recipe

Run = Callable[..., Path]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    write_parts(tmp_path / "parts", train=16, normal=1, defective=1)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    target = {"target": "tests.support.tiny_extractor:tiny"}
    return changed(recipe, extractor=target, training={"epochs": 4})


def changed(recipe: Recipe, **sections: Mapping[str, object]) -> Recipe:
    return recipe.model_copy(
        update={name: getattr(recipe, name).model_copy(update=values) for name, values in sections.items()}
    )


@pytest.fixture
def run(tmp_path: Path, repository: Path) -> Run:
    """Train into a folder of this test."""

    def work(recipe: Recipe, name: str = "out", *, resume: bool = True) -> Path:
        return train(
            recipe,
            tmp_path / name,
            resume=resume,
            cache_dir=tmp_path / "cache",
            progress=False,
            search_path=(repository / "tests",),
        )

    return work


def test_training_reduces_the_loss(run: Run, recipe: Recipe) -> None:
    one = load_checkpoint(run(changed(recipe, training={"epochs": 1}), "one"))
    many = load_checkpoint(run(changed(recipe, training={"epochs": 12}), "many"))
    assert many.views == ("C1", "C2", "C3")
    assert many.statistics is not None
    assert float(many.provenance["training_loss"]) < 0.95 * float(one.provenance["training_loss"])


def test_second_run_of_a_finished_training_does_nothing(run: Run, recipe: Recipe) -> None:
    path = run(recipe)
    before = path.stat().st_mtime_ns
    assert run(recipe) == path
    assert path.stat().st_mtime_ns == before
    run(recipe, resume=False)
    assert path.stat().st_mtime_ns > before


def test_changed_scoring_needs_no_training(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    weights = load_file(run(changed(recipe, scoring={"pixel_statistics": False})))
    # Whoever trains looks for interrupted work first, and stumbles over this.
    (tmp_path / "out" / FLOW_STATE).write_bytes(b"no state")
    model = load_checkpoint(run(recipe))
    assert model.statistics is not None
    assert model.recipe == recipe
    assert all(torch.equal(t, weights[name]) for name, t in model.module.state_dict().items())


def test_views_get_a_scale_from_the_training_parts_without_training_again(
    run: Run, recipe: Recipe, tmp_path: Path
) -> None:
    run(recipe)
    (tmp_path / "out" / FLOW_STATE).write_bytes(b"no state")
    model = load_checkpoint(run(changed(recipe, scoring={"standardise_views": True, "blur": "mean_2x2"})))
    scales = model.scoring("statistics").view_scales
    assert scales is not None
    assert len(scales) == len(model.views)
    assert any(scale.gain != 1.0 for scale in scales)
    assert model.scoring("statistics").blur == "mean_2x2"
    back = load_checkpoint(run(recipe))
    assert back.view_scales is None
    with pytest.raises(ConfigError, match="no scales of its views"):
        replace(back, recipe=model.recipe).scoring()


def test_budget_of_the_masks_and_precision_of_their_network_need_no_training(
    run: Run, recipe: Recipe, tmp_path: Path
) -> None:
    weights = load_file(run(recipe))
    (tmp_path / "out" / FLOW_STATE).write_bytes(b"no state")
    other = changed(recipe, foreground={"max_flip_rate": 0.1, "precision": "int8"})
    model = load_checkpoint(run(other))
    assert model.recipe == other
    assert all(torch.equal(t, weights[name]) for name, t in model.module.state_dict().items())


def test_training_of_another_recipe_is_refused_unless_told_to_start_anew(run: Run, recipe: Recipe) -> None:
    run(recipe)
    other = changed(recipe, flow={"hidden": 6})
    with pytest.raises(CheckpointError, match="another recipe or other data"):
        run(other)
    assert load_checkpoint(run(other, resume=False)).recipe == other


def test_interrupted_training_of_another_recipe_is_refused(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    write_state(tmp_path / "out" / FLOW_STATE, "another", {})
    with pytest.raises(CheckpointError, match="interrupted training of another recipe"):
        run(recipe)
    assert load_checkpoint(run(recipe, resume=False)).recipe == recipe


def test_self_supervised_recipe_trains_its_extractor_first(run: Run, recipe: Recipe) -> None:
    spec = SelfSupervisedExtractor(kind="self_supervised", channels=8, steps=2, batch=2)
    own = recipe.model_copy(update={"extractor": spec})
    first = load_checkpoint(run(own)).module
    again = load_checkpoint(run(own, "again")).module
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert first.feature_mean.shape == (1, 8, 1, 1)


def test_missing_masks_are_told_before_an_extractor_is_trained(
    run: Run, recipe: Recipe, tmp_path: Path
) -> None:
    spec = SelfSupervisedExtractor(kind="self_supervised", channels=8, steps=2, batch=2)
    own = recipe.model_copy(update={"extractor": spec})
    own = changed(own, foreground={"kind": "distilled", "masks": tmp_path / "masks"})
    with pytest.raises(DataError, match="holds no masks"):
        run(own)
    assert not (tmp_path / "out" / EXTRACTOR_STATE).exists()


@pytest.mark.parametrize("mode", ["channel", "position"])
def test_standardised_features_have_mean_0_and_deviation_1(run: Run, recipe: Recipe, mode: str) -> None:
    own = changed(recipe, training={"epochs": 1, "standardise": mode})
    model = load_checkpoint(run(own))
    dataset = load_dataset(own)
    with torch.inference_mode():
        parts = torch.stack(
            [model.module.features(torch.from_numpy(x)) for x in iterate_images(dataset.training, dataset)]
        )
    over = (0, 1, 3, 4) if mode == "channel" else (0,)
    assert parts.mean(over).abs().max() < 1e-4
    spread = parts.std(over, correction=0)
    assert spread.max() < 1.001
    # Per position a little is added to deviations that are known from few values.
    assert spread.median() > (0.999 if mode == "channel" else 0.7)


def test_loss_that_is_not_finite_stops_with_advice(run: Run, recipe: Recipe) -> None:
    with pytest.raises(DataError, match=r"the loss is (nan|inf); lower training.learning_rate"):
        run(changed(recipe, training={"learning_rate": 1e30}))


def rows(path: Path) -> list[dict[str, str]]:
    with (path.parent / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_epoch_is_noted_with_loss_held_out_loss_and_time(run: Run, recipe: Recipe) -> None:
    path = run(recipe)
    history = rows(path)
    assert [row["epoch"] for row in history] == ["1", "2", "3", "4"]
    provenance = load_checkpoint(path).provenance
    assert float(history[-1]["loss"]) == pytest.approx(float(provenance["training_loss"]), rel=1e-5)
    assert float(history[-1]["held_out_loss"]) < float(history[0]["held_out_loss"])
    assert all(float(row["seconds"]) > 0 for row in history)


def test_more_epochs_go_on_where_the_training_ended_with_the_same_bits(run: Run, recipe: Recipe) -> None:
    at_once = load_file(run(changed(recipe, training={"epochs": 6}), "once"))
    path = run(recipe)
    assert run(changed(recipe, training={"epochs": 6})) == path
    raised = load_file(path)
    assert load_checkpoint(path).recipe.training.epochs == 6
    for name, tensor in at_once.items():
        assert torch.equal(tensor, raised[name]), name
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "3", "4", "5", "6"]


def test_training_that_goes_on_says_at_which_epoch(
    recipe: Recipe, tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def told(epochs: int) -> list[str]:
        train(
            changed(recipe, training={"epochs": epochs}),
            tmp_path / "out",
            cache_dir=tmp_path / "cache",
            progress=True,
            search_path=(repository / "tests",),
        )
        return [line for line in capsys.readouterr().err.splitlines() if "resumed" in line]

    assert told(2) == []
    assert told(5) == ["flow: resumed at epoch 3 of 5"]
    assert told(5) == []


def test_fewer_epochs_than_were_trained_are_refused(run: Run, recipe: Recipe) -> None:
    run(recipe)
    with pytest.raises(CheckpointError, match="was trained for 4 epochs, the recipe says 2"):
        run(changed(recipe, training={"epochs": 2}))


def test_more_epochs_without_the_state_are_refused(run: Run, recipe: Recipe, tmp_path: Path) -> None:
    run(recipe)
    (tmp_path / "out" / FLOW_STATE).unlink()
    with pytest.raises(CheckpointError, match=r"cannot go on to 5: flow.state is not there"):
        run(changed(recipe, training={"epochs": 5}))
