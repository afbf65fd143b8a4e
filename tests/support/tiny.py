"""A whole tiny product, made once per test session: parts, recipe, trained checkpoint, proven bundle."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

VIEWS = ("C1", "C2", "C3")
SIZE = 64
HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, kw_only=True)
class TinyProduct:
    """Where everything of the tiny product lies."""

    parts: Path
    recipe: Path
    checkpoint: Path
    bundle: Path


def search_path() -> str:
    """The repository for a process's PYTHONPATH, before whatever it names already."""
    return os.pathsep.join(filter(None, (str(HERE.parents[1]), os.environ.get("PYTHONPATH"))))


def write_parts(root: Path, *, train: int, normal: int, defective: int) -> None:
    """Parts in Real-IAD layout: grey gradients with grain; a defect is a bright square in view C2."""
    document: dict[str, object] = {"meta": {"normal_class": "OK", "prefix": "disc/"}}
    number = 0
    for split, kinds in (("train", ["OK"] * train), ("test", ["OK"] * normal + ["spot"] * defective)):
        entries = []
        for kind in kinds:
            number += 1
            entries += [_write_view(root, number, kind, v) for v in range(len(VIEWS))]
        document[split] = entries
    (root / "realiad_jsons").mkdir(parents=True)
    (root / "realiad_jsons" / "disc.json").write_text(json.dumps(document))


def _write_view(root: Path, number: int, kind: str, view: int) -> dict[str, str | None]:
    rng = np.random.default_rng([number, view])
    ramp = (
        np.linspace(60 + 20 * view, 160, SIZE)[None, :, None]
        + rng.normal(0, 4, (SIZE, SIZE, 3))
        + rng.normal(0, 6)
    )
    folder = f"{kind}/S{number:04d}"
    stem = f"{folder}/disc_{number:04d}_{kind}_{VIEWS[view]}_{number}"
    mask = None
    if kind != "OK" and VIEWS[view] == "C2":
        y, x = rng.integers(8, SIZE - 24, 2)
        ramp[y : y + 16, x : x + 16] += 70
        pixels = np.zeros((SIZE, SIZE), np.uint8)
        pixels[y : y + 16, x : x + 16] = 255
        mask = f"{stem}.png"
        (root / "disc" / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / "disc" / mask)
    (root / "disc" / folder).mkdir(parents=True, exist_ok=True)
    Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).save(root / "disc" / f"{stem}.jpg", quality=95)
    return {"category": "disc", "anomaly_class": kind, "image_path": f"{stem}.jpg", "mask_path": mask}


def write_recipe(path: Path, parts: Path, *, missing_views: int = 0, **export: object) -> None:
    """A recipe that trains in seconds."""
    path.write_text(
        yaml.safe_dump(
            {
                "name": "disc",
                "data": {"root": str(parts), "validation_fraction": 0.4},
                "image": {"height": SIZE, "width": SIZE},
                "extractor": {"kind": "function", "target": "tests.support.tiny_extractor:tiny"},
                "flow": {"hidden": 4, "kernels": [3, 1]},
                "training": {"epochs": 12, "batch": 4, "learning_rate": 0.002, "seed": 3},
                "scoring": {"view": "top_k", "top_k": 4, "part": "max", "pixel_statistics": True},
                "thresholds": {"false_reject_rate": 0.05, "missing_views": missing_views},
                "export": {"calibration_parts": 8, "max_flip_rate": 0.1, "min_speedup": 0, **export},
            }
        )
    )


@contextmanager
def tests_on_path() -> Iterator[None]:
    """The extractor function's folder where a recipe's function is looked for."""
    sys.path.insert(0, str(HERE.parents[1]))
    try:
        yield
    finally:
        sys.path.remove(str(HERE.parents[1]))


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> TinyProduct:
    """The tiny product: trained for real, exported for real, about half a minute once per session."""
    from edgeflow_export.bundling.build import build_bundle
    from edgeflow_export.checkpoints.checkpoint import load_checkpoint
    from edgeflow_export.data.dataset import load_dataset
    from edgeflow_export.recipe import load_recipe
    from edgeflow_export.training.train import train

    root = tmp_path_factory.mktemp("tiny")
    write_parts(root / "parts", train=30, normal=6, defective=6)
    write_recipe(root / "recipe.yaml", root / "parts", missing_views=1)
    recipe = load_recipe(root / "recipe.yaml")
    bundle = root / "disc.bundle"

    @contextmanager
    def silent(_name: str) -> Iterator[None]:
        yield

    with tests_on_path():
        checkpoint = train(recipe, root / "run", cache_dir=root / "cache", progress=False)
        build_bundle(load_checkpoint(checkpoint), load_dataset(recipe), bundle, silent)
    return TinyProduct(
        parts=root / "parts", recipe=root / "recipe.yaml", checkpoint=checkpoint, bundle=bundle
    )
