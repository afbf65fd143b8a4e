"""Parts with one view, laid out as MVTec AD: trained, evaluated and exported like any others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from edgeflow.bundles.bundle import Bundle
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.data.dataset import load_dataset
from edgeflow_export.evaluation.evaluate import evaluate
from edgeflow_export.recipe import Recipe, load_recipe
from edgeflow_export.training.train import train
from tests.support.tiny import SIZE, write_recipe


def write_images(root: Path, split: str, kind: str, count: int) -> None:
    """Grey gradients with grain; a defect is a bright square, with its mask."""
    for number in range(count):
        rng = np.random.default_rng([len(split), len(kind), number])
        pixels = np.linspace(60, 160, SIZE)[None, :, None] + rng.normal(0, 4, (SIZE, SIZE, 3))
        file = root / split / kind / f"{number:03d}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        if kind != "good":
            y, x = rng.integers(8, SIZE - 24, 2)
            pixels[y : y + 16, x : x + 16] += 70
            mask = np.zeros((SIZE, SIZE), np.uint8)
            mask[y : y + 16, x : x + 16] = 255
            truth = root / "ground_truth" / kind / f"{number:03d}_mask.png"
            truth.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(mask).save(truth)
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file)


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    root = tmp_path / "mvtec" / "disc"
    write_images(root, "train", "good", 24)
    write_images(root, "test", "good", 5)
    write_images(root, "test", "spot", 5)
    export = {"backends": ["onnxruntime"], "precisions": ["fp32"]}
    write_recipe(tmp_path / "recipe.yaml", tmp_path / "mvtec", **export)
    described = yaml.safe_load((tmp_path / "recipe.yaml").read_text())
    described["data"]["class_name"] = "disc"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(described))
    return load_recipe(tmp_path / "recipe.yaml")


@contextmanager
def silent(_: str) -> Iterator[None]:
    yield


def test_one_view_trains_evaluates_and_exports(recipe: Recipe, tmp_path: Path) -> None:
    checkpoint = train(recipe, tmp_path / "run", cache_dir=tmp_path / "cache", progress=False)
    report = evaluate(checkpoint, progress=False).report
    build_bundle(load_checkpoint(checkpoint), load_dataset(recipe), tmp_path / "disc.bundle", silent)
    assert recipe.flow.graph == "cs_neigh"
    assert (report.parts, report.defective_parts) == (10, 5)
    assert report.part_auroc is not None
    assert report.part_auroc > 0.9
    assert report.pixel_auroc is not None
    assert report.pixel_auroc > 0.8
    with Bundle.open(tmp_path / "disc.bundle") as bundle:
        assert bundle.manifest.view_ids == ("image",)
        assert bundle.manifest.graphs[0].input.shape == (1, SIZE, SIZE, 3)
