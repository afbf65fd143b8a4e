"""A whole tiny product, made once per test session: parts, recipe, trained checkpoint, proven bundle."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from draw_parts import SIZE, VIEWS, write_parts

__all__ = [
    "SIZE",
    "VIEWS",
    "TinyProduct",
    "search_path",
    "tests_on_path",
    "tiny",
    "write_parts",
    "write_recipe",
]

HERE = Path(__file__).resolve().parent
# Eight channels of a tiny network have nothing to spare: INT8 moves its scores far more than real ones.
LOOSE = {"max_score_bias": 0.5, "max_score_deviation": 1.0}


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
                "export": {"calibration_parts": 8, "max_flip_rate": 0.1, **LOOSE, **export},
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
    """The tiny product: trained and exported for real, once per session, by whichever worker comes first."""
    folder = tmp_path_factory.getbasetemp()
    root = (folder.parent if "PYTEST_XDIST_WORKER" in os.environ else folder) / "tiny"
    root.mkdir(exist_ok=True)
    product = TinyProduct(
        parts=root / "parts",
        recipe=root / "recipe.yaml",
        checkpoint=root / "run" / "checkpoint.safetensors",
        bundle=root / "disc.bundle",
    )
    with (root / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (root / "whole").exists():
            _make(root, product)
            (root / "whole").touch()
    return product


def _make(root: Path, product: TinyProduct) -> None:
    from edgeflow_export.bundling.build import build_bundle
    from edgeflow_export.checkpoints.checkpoint import load_checkpoint
    from edgeflow_export.data.dataset import load_dataset
    from edgeflow_export.recipe import load_recipe
    from edgeflow_export.training.train import train

    write_parts(product.parts, train=30, normal=6, defective=6)
    write_recipe(product.recipe, product.parts, missing_views=1)
    recipe = load_recipe(product.recipe)

    @contextmanager
    def silent(_name: str) -> Iterator[None]:
        yield

    with tests_on_path():
        checkpoint = train(recipe, root / "run", cache_dir=root / "cache", progress=False)
        assert checkpoint == product.checkpoint
        build_bundle(load_checkpoint(checkpoint), load_dataset(recipe), product.bundle, silent)
