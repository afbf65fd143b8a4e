"""Comparison of scoring rules, from anomaly maps to part scores, over several trainings of one recipe.

Maps are computed once for each checkpoint and kept; every rule is then judged on the same maps.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from edgeflow.calibration.thresholds import threshold_of
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    Scoring,
    masked,
    part_score,
    smoothed,
    view_scores,
)
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.checkpoints.model_source import ModelSource, load_model
from edgeflow_export.data.dataset import Dataset, iterate_images, load_dataset
from edgeflow_export.data.ground_truth import GroundTruth, load_ground_truth
from edgeflow_export.evaluation.auroc import auroc
from edgeflow_export.evaluation.evaluate import MASK_SIZE
from edgeflow_export.evaluation.metrics import pixel_figures
from edgeflow_export.training.view_scales import view_scales

RATE = 0.03
RESAMPLES = 2000
LEVEL = 0.95
POOLS: Mapping[str, dict[str, object]] = {
    "max": {"view": "max"},
    "top 0.5 %": {"view": "top_k", "top_share": 0.005},
    "top 2 %": {"view": "top_k", "top_share": 0.02},
}
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Maps:
    """Maps (n, V, h, w) of one checkpoint, and the foreground of its own head; None without one."""

    training: FloatArray
    held_out: FloatArray
    test: FloatArray
    masks: tuple[Masks, Masks, Masks] | None

    def sets(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Masked maps of the training, held-out and test parts."""
        training, held_out, test = self.masks or (None, None, None)
        return (
            masked(self.training, training),
            masked(self.held_out, held_out),
            masked(self.test, test),
        )


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Scores of one checkpoint under one rule."""

    held_out: FloatArray
    views: FloatArray
    parts: FloatArray


@click.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--parts", type=click.Path(path_type=Path, exists=True), help="Test parts, not the recipe's.")
@click.option("--maps", "folder", type=click.Path(path_type=Path), default="runs/scoring", show_default=True)
@click.option("--base", default="max, part max", show_default=True, help="Rule that others are compared to.")
@click.option("--pixels", is_flag=True, help="AUPRO of every blur, which takes a minute each.")
@click.option("--json", "json_output", is_flag=True)
def main(
    checkpoints: tuple[Path, ...],
    parts: Path | None,
    folder: Path,
    base: str,
    pixels: bool,
    json_output: bool,
) -> None:
    """Judge scoring rules on the maps of CHECKPOINTS, one per seed of the same recipe."""
    models = [load_model(ModelSource(checkpoint=path)) for path in checkpoints]
    test = load_dataset(models[0].recipe, root=parts)
    truth = load_ground_truth(test, MASK_SIZE)
    maps = [_kept(path, model, test, folder) for path, model in zip(checkpoints, models, strict=True)]
    sets = [each.sets() for each in maps]
    scores = {name: [_scores(s, *rule) for s in sets] for name, rule in _rules().items()}
    rows = _judged(scores, truth, base)
    if pixels:
        blurs = {name: rule.blur for name, (rule, _) in _rules().items()}
        found = {
            blur: _aupro([smoothed(each[2], Scoring(blur=blur)) for each in sets], truth)
            for blur in set(blurs.values())
        }
        for name, row in rows.items():
            row["aupro"] = found[blurs[name]]
    if json_output:
        click.echo(json.dumps(rows))
    else:
        _print(rows)


def _rules() -> dict[str, tuple[Scoring, bool]]:
    """Name → rule, and true where views are standardised."""
    found = {}
    for (name, pool), blur, part, equal in itertools.product(
        POOLS.items(), (None, "mean_2x2", "gaussian"), ("max", "mean"), (False, True)
    ):
        words = [name, *([blur] if blur else []), f"part {part}", *(["views standardised"] if equal else [])]
        found[", ".join(words)] = Scoring.model_validate({**pool, "blur": blur, "part": part}), equal
    return found


def _kept(path: Path, model: TrainedModel, test: Dataset, folder: Path) -> Maps:
    """Maps of a checkpoint, computed where they are not there yet."""
    key = hashlib.sha256(path.read_bytes() + str(test.root.resolve()).encode()).hexdigest()[:16]
    file, own = folder / f"{key}.npz", load_dataset(model.recipe)
    if not file.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        found: dict[str, npt.NDArray[Any]] = {}
        for name, parts, data in (
            ("training", own.training, own),
            ("held_out", own.validation, own),
            ("test", test.test, test),
        ):
            found[name], found[f"{name}_masks"] = _outputs(model, parts, data)
        np.savez(file, allow_pickle=False, **found)
    with np.load(file) as kept:
        sets = {name: kept[name] for name in kept}
    names = ("training", "held_out", "test")
    headed = sets["test_masks"].size > 0
    masks = tuple(sets[f"{name}_masks"] for name in names)
    return Maps(
        training=sets["training"],
        held_out=sets["held_out"],
        test=sets["test"],
        masks=(masks[0], masks[1], masks[2]) if headed else None,
    )


def _outputs(model: TrainedModel, parts: Sequence[RecordedPart], data: Dataset) -> tuple[FloatArray, Masks]:
    import torch  # noqa: PLC0415 - slow, and not needed where maps are kept

    maps, masks = [], []
    with torch.inference_mode():
        for images in iterate_images(parts, data):
            outputs = [output.numpy() for output in model.module.outputs(torch.from_numpy(images))]
            maps.append(outputs[0])
            masks += [np.asarray(output > 0, np.uint8) for output in outputs[1:]]
    return np.stack(maps), np.stack(masks) if masks else np.empty(0, np.uint8)


def _scores(sets: tuple[FloatArray, FloatArray, FloatArray], rule: Scoring, equal: bool) -> Scores:
    training, held_out, test = (view_scores(maps, rule) for maps in sets)
    if equal:
        rule = rule.model_copy(update={"view_scales": view_scales(training)})
    return Scores(held_out=part_score(held_out, rule), views=test, parts=part_score(test, rule))


def _judged(
    scores: Mapping[str, Sequence[Scores]], truth: GroundTruth, base: str
) -> dict[str, dict[str, float]]:
    """Figures of every rule, means over the seeds, with paired bootstrap intervals of the difference."""
    bad, rng = truth.defective_parts, np.random.default_rng(0)
    draws = [
        np.concatenate([rng.choice(np.flatnonzero(flag), int(flag.sum())) for flag in (~bad, bad)])
        for _ in range(RESAMPLES)
    ]
    sampled = {name: _resampled(each, bad, draws) for name, each in scores.items()}
    rows = {}
    for name, each in scores.items():
        thresholds = [threshold_of(seed.held_out, RATE) for seed in each]
        recalls = [_recall(seed.parts[~bad], seed.parts[bad]) for seed in each]
        low, high = np.quantile(sampled[name] - sampled[base], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        pairs = list(zip(each, thresholds, strict=True))
        rows[name] = {
            "recall": float(np.mean(recalls)),
            **{f"recall, seed {number}": recall for number, recall in enumerate(recalls)},
            "more_low": float(low),
            "more_high": float(high),
            "recall_held_out": float(np.mean([(seed.parts[bad] > at).mean() for seed, at in pairs])),
            "false_rejects": float(np.mean([(seed.parts[~bad] > at).mean() for seed, at in pairs])),
            "part_auroc": float(np.mean([auroc(seed.parts, bad) or 0.0 for seed in each])),
            "view_auroc": float(
                np.mean([auroc(seed.views.ravel(), truth.defective.ravel()) or 0.0 for seed in each])
            ),
        }
    return rows


def _recall(normal: FloatArray, defective: FloatArray) -> float:
    """Share of defective parts over the score that the rate of the normal ones exceeds, exactly."""
    threshold = np.sort(normal)[::-1][int(RATE * len(normal))]
    return float((defective > threshold).mean())


def _resampled(seeds: Sequence[Scores], bad: Flags, draws: Sequence[npt.NDArray[np.intp]]) -> FloatArray:
    """Mean recall over the seeds in every resample of the test parts; the same parts for all rules."""
    normal = int((~bad).sum())
    return np.array(
        [
            np.mean([_recall(seed.parts[draw[:normal]], seed.parts[draw[normal:]]) for seed in seeds])
            for draw in draws
        ],
        np.float32,
    )


def _aupro(maps: Sequence[FloatArray], truth: GroundTruth) -> float:
    return float(np.mean([pixel_figures(each, truth)[1] or 0.0 for each in maps]))


def _print(rows: Mapping[str, Mapping[str, float]]) -> None:
    seeds = sum(name.startswith("recall, seed") for name in next(iter(rows.values())))
    table = Table(
        "rule", f"recall at {RATE:.0%}", "seeds", "more than the base", "recall, threshold of held-out",
        "its false rejects", "part AUROC", "view AUROC", "AUPRO",
    )  # fmt: skip
    for name, row in sorted(rows.items(), key=lambda item: -item[1]["recall"]):
        table.add_row(
            name,
            f"{row['recall']:.3f}",
            " ".join(f"{row[f'recall, seed {seed}']:.3f}" for seed in range(seeds)),
            f"{row['more_low']:+.3f} to {row['more_high']:+.3f}",
            f"{row['recall_held_out']:.3f}",
            f"{row['false_rejects']:.3f}",
            f"{row['part_auroc']:.4f}",
            f"{row['view_auroc']:.4f}",
            f"{row['aupro']:.4f}" if "aupro" in row else "",
        )
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
