"""Multi-Flow against a patch memory with the full bank, on the same features of real parts.

Five fixed splits of the normal parts, three seeds of the flow. Every split holds out normal parts that
neither head has seen; all defective parts are tested in each. The memory remembers all 80 parts of a split;
the flow trains on 70 of them and stops early by the loss of the other 10. Scoring is chosen for each head on
two other splits, from the same eight. The defective parts are the same in all splits, so that the interval
over parts is the one to go by.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console

from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.scoring import FloatArray, PixelStatistics, part_score, standardise, view_scores
from edgeflow.temporary_folder import temporary_folder
from edgeflow_export.checkpoints.checkpoint import flow_shape
from edgeflow_export.data.array_cache import default_cache_dir
from edgeflow_export.data.dataset import load_dataset
from edgeflow_export.features.extractors import build_extractor, extractor_identity
from edgeflow_export.features.feature_cache import FeatureStore, cache_features
from edgeflow_export.features.statistics import Standardisation, feature_statistics, pixel_statistics
from edgeflow_export.models.multiflow import nll_map
from edgeflow_export.recipe import PatchMemorySpec, Recipe, load_recipe
from edgeflow_export.training.flow import train_flow
from edgeflow_export.training.memory_bank import cross_fitted_maps, fill_memory

LEARNT, WATCHED = 80, 10
CHOOSING = (100, 101)  # splits that scoring is chosen on
DRAWS = 4000
FULL = PatchMemorySpec(patches=None)
RULES = tuple(itertools.product(("max", "top_k"), ("max", "mean"), (False, True)))
"""View score, part score, and whether pixels are standardised."""
Rule = tuple[str, str, bool]
Scores = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Indices of parts."""

    learnt: list[int]
    tested: list[int]
    bad: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Maps (n, V, h, w) of the tested parts, and statistics of those that were learnt."""

    maps: FloatArray
    statistics: PixelStatistics

    def scores(self, rule: Rule) -> Scores:
        """Part scores (n,) by one rule."""
        view, part, by_pixel = rule
        share = 0.02 if view == "top_k" else None
        scoring = Scoring.model_validate({"view": view, "top_share": share, "part": part})
        maps = standardise(self.maps, self.statistics if by_pixel else None)
        return np.asarray(part_score(view_scores(maps, scoring), scoring), np.float64)


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path, exists=True))
@click.option("--splits", type=click.IntRange(1), default=5, show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--json", "json_output", is_flag=True)
def main(recipe: Path, splits: int, seeds: int, threads: int, *, json_output: bool) -> None:
    """Compare both heads on the parts of RECIPE, such as tools/benchmarks/tiles.yaml with your data.root."""
    torch.set_num_threads(threads)
    loaded = load_recipe(recipe)
    store, bad = _features(loaded)
    console = Console(stderr=json_output, highlight=False)
    rules = {name: _chosen(name, loaded, store, bad) for name in ("multi_flow", "patch_memory")}
    console.print(f"scoring chosen on splits {CHOOSING}: {rules}")
    won: list[list[tuple[Scores, Scores]]] = []
    averaged: list[list[tuple[Scores, Scores]]] = []
    for number in range(splits):
        split = _split(bad, number)
        memory = _won(_memory(loaded, store, split).scores(rules["patch_memory"]), split.bad)
        flows = [_flow(loaded, store, split, seed) for seed in range(seeds)]
        scores = [flow.scores(rules["multi_flow"]) for flow in flows]
        won.append([(_won(each, split.bad), memory) for each in scores])
        averaged.append([(_won(np.mean(scores, axis=0), split.bad), memory)])
        figures = ", ".join(f"{flow.mean():.3f}" for flow, _ in won[-1])
        console.print(f"split {number}: multi_flow {figures}; patch_memory {memory.mean():.3f}")
    result = {
        "scoring": {name: list(rule) for name, rule in rules.items()},
        "multi_flow": [[float(flow.mean()) for flow, _ in runs] for runs in won],
        "patch_memory": [float(runs[0][1].mean()) for runs in won],
        "one_seed": _summary(won),
        "seeds_averaged": _summary(averaged),
    }
    for name in ("one_seed", "seeds_averaged"):
        console.print(f"{name.replace('_', ' ')}: {_in_words(result[name])}")
    if json_output:
        click.echo(json.dumps(result))


def _features(recipe: Recipe) -> tuple[FeatureStore, npt.NDArray[np.bool_]]:
    """Features of all parts by name, and whether each is defective."""
    dataset = load_dataset(recipe)
    every = (*dataset.training, *dataset.stopping, *dataset.validation, *dataset.test)
    parts = sorted(every, key=lambda part: part.part_id)
    extractor = build_extractor(recipe.extractor, pretrained=True)
    identity = extractor_identity(extractor, recipe.extractor)
    store = cache_features(parts, dataset, extractor, identity=identity, folder=default_cache_dir())
    return store, np.array([bool(part.defective) for part in parts])


def _split(bad: npt.NDArray[np.bool_], number: int) -> Split:
    normal = np.random.default_rng(number).permutation(np.flatnonzero(~bad))
    tested = [*normal[LEARNT:].tolist(), *np.flatnonzero(bad).tolist()]
    return Split(learnt=normal[:LEARNT].tolist(), tested=tested, bad=bad[tested])


def _some(store: FeatureStore, chosen: Sequence[int]) -> FeatureStore:
    return FeatureStore(paths=tuple(store.paths[index] for index in chosen), shape=store.shape)


def _chosen(name: str, recipe: Recipe, store: FeatureStore, bad: npt.NDArray[np.bool_]) -> Rule:
    """The rule by which a head ranks best on the splits that are not reported."""
    found: list[list[float]] = []
    for number in CHOOSING:
        split = _split(bad, number)
        of_head = _flow(recipe, store, split, 0) if name == "multi_flow" else _memory(recipe, store, split)
        found.append([float(_won(of_head.scores(rule), split.bad).mean()) for rule in RULES])
    return RULES[int(np.mean(found, axis=0).argmax())]


def _memory(recipe: Recipe, store: FeatureStore, split: Split) -> Maps:
    learnt, tested = _some(store, split.learnt), _some(store, split.tested)
    ready = feature_statistics(learnt, recipe.training.standardise)
    memory = fill_memory(learnt, ready, FULL, seed=0, progress=False)
    return Maps(
        maps=_stacked(memory(ready(features)) for features in tested),
        statistics=pixel_statistics(cross_fitted_maps(learnt, ready, FULL, seed=0)),
    )


def _flow(recipe: Recipe, store: FeatureStore, split: Split, seed: int) -> Maps:
    learnt, watched = _some(store, split.learnt[WATCHED:]), _some(store, split.learnt[:WATCHED])
    ready: Standardisation = feature_statistics(learnt, recipe.training.standardise)
    with temporary_folder() as folder:
        flow, _ = train_flow(
            flow_shape(recipe, store.shape[1], store.shape[0]),
            learnt,
            ready,
            spec=recipe.training.model_copy(update={"seed": seed}),
            noise=recipe.noise,
            state_path=folder / "flow.state",
            fingerprints=("tiles",),
            held_out=watched,
            progress=False,
        )

    def maps(parts: FeatureStore) -> Iterable[torch.Tensor]:
        return (nll_map(flow(ready(features).unsqueeze(0)))[0] for features in parts)

    return Maps(maps=_stacked(maps(_some(store, split.tested))), statistics=pixel_statistics(maps(learnt)))


def _stacked(maps: Iterable[torch.Tensor]) -> FloatArray:
    with torch.inference_mode():
        return np.stack([np.asarray(each.numpy(), np.float32) for each in maps])


def _won(scores: Scores, bad: npt.NDArray[np.bool_]) -> Scores:
    """Of every defective part against every normal one (m, n): 1 if it scores higher, ½ at a tie."""
    difference = scores[bad][:, None] - scores[~bad][None, :]
    return np.asarray((difference > 0) + 0.5 * (difference == 0), np.float64)


def _summary(won: list[list[tuple[Scores, Scores]]]) -> dict[str, object]:
    """Means, their difference, and its 95 % intervals over splits and seeds, and over parts too."""
    runs = [pair for split in won for pair in split]
    flow, memory = (float(np.mean([pair[side].mean() for pair in runs])) for side in (0, 1))
    draw = np.random.default_rng(0)
    return {
        "multi_flow": flow,
        "patch_memory": memory,
        "difference": flow - memory,
        "over_splits_and_seeds": _interval(won, draw, parts=False),
        "over_parts_too": _interval(won, draw, parts=True),
    }


def _interval(
    won: list[list[tuple[Scores, Scores]]], draw: np.random.Generator, *, parts: bool
) -> list[float]:
    """Bootstrap: splits, then seeds in each; defective parts once for all, since all splits share them."""
    found = []
    m = len(won[0][0][0])
    for _ in range(DRAWS):
        rows = draw.multinomial(m, np.full(m, 1 / m)) / m if parts else np.full(m, 1 / m)
        differences = []
        for split in draw.integers(len(won), size=len(won)):
            n = won[split][0][0].shape[1]
            columns = draw.multinomial(n, np.full(n, 1 / n)) / n if parts else np.full(n, 1 / n)
            for seed in draw.integers(len(won[split]), size=len(won[split])):
                flow, memory = won[split][seed]
                differences.append(float(rows @ (flow - memory) @ columns))
        found.append(np.mean(differences))
    return [float(bound) for bound in np.percentile(found, [2.5, 97.5])]


def _in_words(summary: object) -> str:
    assert isinstance(summary, dict)  # noqa: S101 - made above
    (low, high), (wide_low, wide_high) = summary["over_splits_and_seeds"], summary["over_parts_too"]
    verdict = "ahead" if wide_low > 0 else "behind" if wide_high < 0 else "not told apart from it"
    return (
        f"multi_flow {summary['multi_flow']:.3f}, patch_memory {summary['patch_memory']:.3f}, difference "
        f"{summary['difference']:+.3f} [{low:+.3f}, {high:+.3f}] over splits and seeds, "
        f"[{wide_low:+.3f}, {wide_high:+.3f}] over parts too: multi_flow is {verdict}"
    )


if __name__ == "__main__":
    main()
