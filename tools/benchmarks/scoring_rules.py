"""Comparison of scoring rules, from anomaly maps to part scores: one training per seed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.scoring import FloatArray, PixelStatistics, part_score, standardise, view_scores
from edgeflow_export.checkpoints.checkpoint import load_checkpoint
from edgeflow_export.data.dataset import load_dataset
from edgeflow_export.evaluation.auroc import auroc
from edgeflow_export.evaluation.evaluate import anomaly_maps, torch_maps
from edgeflow_export.recipe import Recipe, load_recipe
from edgeflow_export.training.train import train

VIEWS = {"max": None, "mean": None, "top_5": 5, "top_10": 10, "top_20": 20, "top_50": 50}
Figures = dict[str, float]


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, exists=True))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the trainings."
)
@click.option("--seed", "seeds", type=int, multiple=True, default=(1, 2, 3), show_default=True)
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--standardise", "mode", type=click.Choice(["none", "channel", "position"]))
@click.option("--json", "json_output", is_flag=True)
def main(
    recipe: Path,
    output: Path,
    seeds: tuple[int, ...],
    epochs: int | None,
    mode: str | None,
    json_output: bool,
) -> None:
    """Train RECIPE once per seed and compare every way from maps to part scores."""
    loaded = load_recipe(recipe)
    changes = {"epochs": epochs, "standardise": mode}
    runs = []
    for seed in seeds:
        changed = {name: value for name, value in {**changes, "seed": seed}.items() if value is not None}
        own = loaded.model_copy(
            update={
                "training": loaded.training.model_copy(update=changed),
                "scoring": loaded.scoring.model_copy(update={"pixel_statistics": True}),
            }
        )
        runs.append(_figures(own, output / f"seed{seed}", recipe.resolve().parent))
    if json_output:
        click.echo(json.dumps(runs))
        return
    table = Table("scoring", *(f"seed {seed}" for seed in seeds), "mean")
    for name in sorted(runs[0], key=lambda name: -sum(run[name] for run in runs)):
        figures = [run[name] for run in runs]
        table.add_row(name, *(f"{figure:.3f}" for figure in figures), f"{np.mean(figures):.3f}")
    Console().print(table)


def _figures(recipe: Recipe, folder: Path, search_path: Path) -> Figures:
    """Part AUROC of every scoring after one training."""
    model = load_checkpoint(train(recipe, folder, search_path=[search_path]), search_path=[search_path])
    dataset = load_dataset(recipe)
    maps = anomaly_maps(dataset.test, dataset, torch_maps(model), "test parts")
    defective = np.array([bool(part.defective) for part in dataset.test])
    figures: Figures = {}
    for (view, k), part, statistics in itertools.product(
        VIEWS.items(), ("mean", "max"), (None, model.statistics)
    ):
        scoring = Scoring.model_validate(
            {"view": view.split("_")[0] if k is None else "top_k", "top_k": k, "part": part}
        )
        name = f"{view}, part {part}" + (", pixel statistics" if statistics else "")
        figures[name] = _auroc(maps, statistics, scoring, defective)
    return figures


def _auroc(
    maps: FloatArray, statistics: PixelStatistics | None, scoring: Scoring, defective: npt.NDArray[np.bool_]
) -> float:
    scores = part_score(view_scores(standardise(maps, statistics), scoring), scoring)
    return auroc(scores, defective) or 0.0


if __name__ == "__main__":
    main()
