"""Training: learns, resumes to the same bits, and leaves finished work alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from edgeflow.errors import CheckpointError, DataError
from edgeflow_export import flow_training
from edgeflow_export.checkpoints import load_checkpoint
from edgeflow_export.flow_training import draw_noise
from edgeflow_export.recipe import NoiseSpec, Recipe, SelfSupervisedExtractor, load_recipe
from edgeflow_export.training import train
from support.tiny import write_parts, write_recipe


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    write_parts(tmp_path / "parts", train=16, normal=1, defective=1)
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "parts")
    recipe = load_recipe(tmp_path / "recipe.yaml")
    target = {"target": "support.tiny_extractor:tiny"}
    return changed(recipe, extractor=target, training={"epochs": 4})


def changed(recipe: Recipe, **sections: dict[str, object]) -> Recipe:
    return recipe.model_copy(
        update={name: getattr(recipe, name).model_copy(update=values) for name, values in sections.items()}
    )


@pytest.fixture
def run(tmp_path: Path, repository: Path):  # type: ignore[no-untyped-def]
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


class Losses:
    """Watches the steps of a training, and interrupts it at one."""

    def __init__(self, patch: pytest.MonkeyPatch, *, stop_at: int | None = None) -> None:
        self.values: list[float] = []
        self._step, self._stop_at = flow_training._step, stop_at
        patch.setattr(flow_training, "_step", self)

    def __call__(self, *arguments: object) -> float:
        if len(self.values) == self._stop_at:
            raise KeyboardInterrupt
        self.values.append(self._step(*arguments))  # type: ignore[arg-type]
        return self.values[-1]


def test_training_reduces_the_loss(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    losses = Losses(monkeypatch)
    model = load_checkpoint(run(changed(recipe, training={"epochs": 12})))
    assert np.mean(losses.values[-4:]) < 0.8 * np.mean(losses.values[:4])
    assert model.views == ("C1", "C2", "C3")
    assert model.statistics is not None
    assert float(model.provenance["training_loss"]) < losses.values[0]


def test_interrupted_training_ends_as_an_uninterrupted_one(  # type: ignore[no-untyped-def]
    run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = load_file(run(recipe, "whole"))
    with monkeypatch.context() as patch:
        Losses(patch, stop_at=5)
        with pytest.raises(KeyboardInterrupt):
            run(recipe, "parted")
    with monkeypatch.context() as patch:
        losses = Losses(patch)
        resumed = load_file(run(recipe, "parted"))
        assert 0 < len(losses.values) < 4 * 3
    assert whole.keys() == resumed.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, resumed[name]), name


def test_second_run_of_a_finished_training_does_nothing(  # type: ignore[no-untyped-def]
    run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = run(recipe)
    before = path.stat().st_mtime_ns
    losses = Losses(monkeypatch)
    assert run(recipe) == path
    assert losses.values == []
    assert path.stat().st_mtime_ns == before
    run(recipe, resume=False)
    assert losses.values


def test_changed_scoring_needs_no_training(run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    plain = changed(recipe, scoring={"pixel_statistics": False})
    weights = load_file(run(plain))
    losses = Losses(monkeypatch)
    model = load_checkpoint(run(recipe))
    assert losses.values == []
    assert model.statistics is not None
    assert model.recipe == recipe
    assert all(torch.equal(t, weights[name]) for name, t in model.module.state_dict().items())


def test_training_of_another_recipe_is_refused_unless_told_to_start_anew(  # type: ignore[no-untyped-def]
    run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(recipe)
    other = changed(recipe, flow={"hidden": 6})
    with pytest.raises(CheckpointError, match="another recipe or other data"):
        run(other)
    with monkeypatch.context() as patch:
        Losses(patch, stop_at=5)
        with pytest.raises(KeyboardInterrupt):
            run(other, "interrupted")
    with pytest.raises(CheckpointError, match="interrupted training of another recipe"):
        run(recipe, "interrupted")
    assert load_checkpoint(run(recipe, "interrupted", resume=False)).recipe == recipe


def test_self_supervised_recipe_trains_its_extractor_first(run, recipe: Recipe) -> None:  # type: ignore[no-untyped-def]
    spec = SelfSupervisedExtractor(kind="self_supervised", channels=8, steps=2, batch=2)
    own = recipe.model_copy(update={"extractor": spec})
    first = load_checkpoint(run(own)).module
    again = load_checkpoint(run(own, "again")).module
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert first.feature_mean.shape == (1, 8, 1, 1)


def test_standardised_features_have_mean_0_and_deviation_1(run, recipe: Recipe, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from edgeflow_export.datasets import iterate_images, load_dataset

    model = load_checkpoint(run(changed(recipe, training={"epochs": 1})))
    dataset = load_dataset(recipe)
    with torch.inference_mode():
        parts = [
            model.module.features(torch.from_numpy(x)) for x in iterate_images(dataset.training, dataset)
        ]
    features = torch.cat(parts).transpose(0, 1).flatten(1)
    assert features.mean(1).abs().max() < 1e-4
    spread = features.std(1)
    assert spread.max() < 1.001
    assert spread.median() == pytest.approx(1, abs=1e-3)


def test_loss_that_is_not_finite_stops_with_advice(  # type: ignore[no-untyped-def]
    run, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_training, "_step", lambda *_: float("inf"))
    with pytest.raises(DataError, match=r"epoch 1: the loss is inf; lower training.learning_rate"):
        run(recipe)


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_noise_is_one_map_per_part(mode: int) -> None:
    spec = NoiseSpec(mode=mode)  # type: ignore[arg-type]
    noise = draw_noise(spec, (64, 16, 16), torch.Generator().manual_seed(1))
    assert noise is not None
    assert noise.shape == (64, 1, 1, 16, 16)
    deviations = noise.flatten(1).std(1)
    if mode == 1:
        assert noise.std() == pytest.approx(0.15, rel=0.02)
        assert deviations.max() < 0.2
    elif mode == 2:  # c squared with c uniform: 1/3 in the mean, and far from equal
        assert deviations.mean() == pytest.approx(1 / 3, rel=0.3)
        assert deviations.max() > 0.7
    else:
        assert noise.min() >= 0
        assert 0.99 < noise.max() < 1


def test_mode_0_has_no_noise() -> None:
    assert draw_noise(NoiseSpec(mode=0), (2, 4, 4), torch.Generator()) is None
