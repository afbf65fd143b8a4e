"""Recipes side by side: milliseconds, AUROC, what INT8 changes, size; trained and exported if need be."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage, read_image
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import EdgeflowError
from edgeflow.scoring.loading import make_scorer
from edgeflow.scoring.scorer import Scorer
from edgeflow_export.bundling.build import build_bundle
from edgeflow_export.checkpoints.checkpoint import TrainedModel, load_checkpoint
from edgeflow_export.data.dataset import Dataset, load_dataset, load_images
from edgeflow_export.evaluation.auroc import auroc
from edgeflow_export.evaluation.evaluate import torch_maps
from edgeflow_export.recipe import load_recipe
from edgeflow_export.training.train import train

WARM_UP = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """One graph of one recipe's bundle.

    Attributes:
        p50_ms: per part, from decoded images to the part score, all graphs of all bundles in turns.
        speedup: over the same bundle's fp32 graph, the median of the ratios of the same turns.
        flips: verdicts that differ from the fp32 graph's, of ``parts``.
        worst_map: the largest relative error of any view's map against torch, of all parts.
    """

    recipe: str
    graph: str
    p50_ms: float
    speedup: float
    part_auroc: float | None
    view_auroc: float | None
    flips: int
    parts: int
    worst_map: float
    bundle_mb: float


@dataclass(frozen=True, kw_only=True)
class Scored:
    """Scores of n parts by one graph: maps (n, V, h, w), view scores (n, V), part scores (n,)."""

    maps: FloatArray
    views: FloatArray
    parts: FloatArray


class Product:
    """A recipe's model, its parts, and its bundle with every graph ready to run."""

    def __init__(self, name: str, model: TrainedModel, data: Dataset, bundle: Bundle) -> None:
        self.name, self.model, self.data, self.bundle = name, model, data, bundle
        self.parts = (*data.validation, *data.test)
        self.scorers = {graph.id: make_scorer(bundle, graph) for graph in bundle.manifest.graphs}

    @cached_property
    def first_images(self) -> dict[str, RgbImage]:
        """The part that is timed."""
        return self.images(self.parts[0])

    def images(self, part: RecordedPart) -> dict[str, RgbImage]:
        return {view: read_image(part.images[view]) for view in self.data.view_ids}

    @cached_property
    def torch_maps(self) -> FloatArray:
        """Maps of the trained model for every part, (n, V, h, w)."""
        maps_of = torch_maps(self.model)
        return np.stack([maps_of(load_images(part, self.data)) for part in self.parts])

    @cached_property
    def defective_views(self) -> npt.NDArray[np.bool_]:
        """(t, V) of the test parts: a view is defective where it has a mask."""
        return np.array(
            [[bool(part.masks.get(view)) for view in self.data.view_ids] for part in self.data.test]
        )


@click.command()
@click.argument("recipes", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default="runs/recipes", help="Trainings and bundles."
)
@click.option("--repeat", type=click.IntRange(min=5), default=40, show_default=True)
@click.option("--json", "json_output", is_flag=True)
def main(*, recipes: tuple[Path, ...], output: Path, repeat: int, json_output: bool) -> None:
    """Train and export RECIPES where that is still to do, then measure all bundles in one run."""
    console = Console(stderr=True, highlight=False)
    try:
        with ExitStack() as stack:
            products = []
            for path in recipes:
                model, data, target = _made(path, output, console)
                bundle = stack.enter_context(Bundle.open(target))
                products.append(Product(path.stem, model, data, bundle))
            rows = _measured(products, repeat, console)
    except EdgeflowError as error:
        console.print(f"Error: {error}", markup=False)
        raise SystemExit(error.exit_code) from error
    if json_output:
        click.echo(json.dumps([asdict(row) for row in rows]))
    else:
        _print(rows)


def _made(path: Path, output: Path, console: Console) -> tuple[TrainedModel, Dataset, Path]:
    """A recipe's trained model, its parts and its bundle, each made where it is not there yet."""
    recipe, folder, search_path = load_recipe(path), output / path.stem, [path.resolve().parent]
    checkpoint = train(recipe, folder, search_path=search_path)
    model, data = load_checkpoint(checkpoint, search_path=search_path), load_dataset(recipe)
    target = folder / f"{path.stem}.bundle"
    if not target.is_file() or target.stat().st_mtime < checkpoint.stat().st_mtime:
        target.unlink(missing_ok=True)
        build_bundle(model, data, target, _stages(console))
    return model, data, target


def _stages(console: Console) -> Callable[[str], AbstractContextManager[None]]:
    @contextmanager
    def stage(name: str) -> Iterator[None]:
        begun_s = time.monotonic()
        yield
        console.print(f"{time.monotonic() - begun_s:7.1f} s  {name}", markup=False)

    return stage


def _measured(products: Sequence[Product], repeat: int, console: Console) -> list[Row]:
    stage = _stages(console)
    with stage(f"timing all graphs, {repeat} turns"):
        times = _times(products, repeat)
    rows = []
    for product in products:
        with stage(f"{product.name}: {len(product.parts)} parts in torch and by every graph"):
            scored = {graph: _scored(product, scorer) for graph, scorer in product.scorers.items()}
            rows += [_row(product, graph, scored, times) for graph in scored]
    return rows


def _times(products: Sequence[Product], repeat: int) -> dict[tuple[str, str], FloatArray]:
    """Milliseconds (repeat,) of every graph; in turns, so that a busy machine hits all of them alike."""
    times: dict[tuple[str, str], list[float]] = {}
    for turn in range(repeat + WARM_UP):
        for product in products:
            for graph, scorer in product.scorers.items():
                begun_ns = time.perf_counter_ns()
                scorer.score(product.first_images)
                if turn >= WARM_UP:
                    taken_ms = (time.perf_counter_ns() - begun_ns) / 1e6
                    times.setdefault((product.name, graph), []).append(taken_ms)
    return {key: np.asarray(values, np.float32) for key, values in times.items()}


def _scored(product: Product, scorer: Scorer) -> Scored:
    found = [scorer.score(product.images(part), ask="all") for part in product.parts]
    return Scored(
        maps=np.stack([scores.raw_maps for scores in found]),
        views=np.array([list(scores.views.values()) for scores in found], np.float32),
        parts=np.array([scores.part for scores in found], np.float32),
    )


def _over(product: Product, graph: str, scored: Scored) -> npt.NDArray[np.bool_]:
    """Parts over the graph's own threshold (n,)."""
    return np.asarray(scored.parts > product.scorers[graph].thresholds.part.threshold)


def _row(
    product: Product, graph: str, scored: dict[str, Scored], times: dict[tuple[str, str], FloatArray]
) -> Row:
    """A graph's figures; its back end's fp32 graph is the reference of speed and verdicts."""
    own, float_graph = scored[graph], f"{graph.partition('-')[0]}-fp32"
    tests = len(product.data.test)
    flips = _over(product, graph, own) != _over(product, float_graph, scored[float_graph])
    defective = product.defective_views
    errors = [
        relative_error(view, reference)
        for part, expected in zip(own.maps, product.torch_maps, strict=True)
        for view, reference in zip(part, expected, strict=True)
    ]
    return Row(
        recipe=product.name,
        graph=graph,
        p50_ms=float(np.median(times[product.name, graph])),
        speedup=float(np.median(times[product.name, float_graph] / times[product.name, graph])),
        part_auroc=auroc(own.parts[-tests:], np.asarray(defective.any(axis=1))),
        view_auroc=auroc(own.views[-tests:].ravel(), defective.ravel()),
        flips=int(flips.sum()),
        parts=len(own.parts),
        worst_map=max(errors),
        bundle_mb=product.bundle.path.stat().st_size / 1e6,
    )


def _print(rows: Sequence[Row]) -> None:
    console = Console(highlight=False)
    console.print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    table = Table(
        "recipe", "graph", "ms per part", "against fp32", "part AUROC", "view AUROC", "verdicts changed",
        "worst map error", "bundle MB",
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.recipe,
            row.graph,
            f"{row.p50_ms:.1f}",
            f"{row.speedup:.2f}x",
            "" if row.part_auroc is None else f"{row.part_auroc:.4f}",
            "" if row.view_auroc is None else f"{row.view_auroc:.4f}",
            f"{row.flips} of {row.parts}",
            f"{row.worst_map:.1e}",
            f"{row.bundle_mb:.1f}",
        )
    console.print(table)


if __name__ == "__main__":
    main()
