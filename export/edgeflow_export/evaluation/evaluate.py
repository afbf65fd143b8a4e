"""Evaluation of a model: defective parts, views and pixels against normal ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from edgeflow.calibration.thresholds import calibrate
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.manifest import Scoring, Thresholds
from edgeflow.contracts.scoring import FloatArray, PixelStatistics
from edgeflow.errors import DataError, DeviceError
from edgeflow_export.checkpoints.checkpoint import TrainedModel
from edgeflow_export.checkpoints.model_source import ModelSource, load_model, with_views
from edgeflow_export.data.array_cache import default_cache_dir
from edgeflow_export.data.dataset import Dataset, Images, iterate_images, load_dataset, require_test_parts
from edgeflow_export.data.ground_truth import Flags, GroundTruth, load_ground_truth
from edgeflow_export.evaluation.metrics import ScoredParts, measure, score_maps
from edgeflow_export.evaluation.report import EvaluationReport, ModelIdentity
from edgeflow_export.masks.mask_cache import cache_masks
from edgeflow_export.masks.teachers import HeadTeacher, MaskTeacher, load_teacher
from edgeflow_export.progress import progress_bar

__all__ = ["MASK_SIZE", "Evaluation", "MapFunction", "anomaly_maps", "evaluate", "torch_maps"]

MASK_SIZE = (256, 256)  # as published: maps and masks are compared at this size

MapFunction = Callable[[Images], FloatArray]
"""uint8 images (V, H, W, 3) of one part to anomaly maps (V, h, w)."""

_CHECKPOINT_ALONE = ModelSource()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """A report, and all that its pictures are drawn from; the n parts are those of ``dataset.test``.

    Attributes:
        model: None of a bundle, which holds no trained module.
    """

    report: EvaluationReport
    model: TrainedModel | None
    dataset: Dataset
    truth: GroundTruth
    scored: ScoredParts


def evaluate(
    checkpoint: Path,
    *,
    source: ModelSource = _CHECKPOINT_ALONE,
    maps_of: MapFunction | None = None,
    progress: bool = True,
    device: str = "cpu",
    search_path: Sequence[Path] = (),
    cache_dir: Path | None = None,
) -> Evaluation:
    """Evaluate a checkpoint on the test parts of its recipe.

    Args:
        source: what else was named: other parts, another recipe, the files that an official flow needs.
        maps_of: another form of the same model, such as an INT8 graph; default: torch.
        device: torch device of the default, and of the foreground.
        search_path: folders where an extractor function's module may lie.
        cache_dir: folder of the cache for foreground masks; default ``default_cache_dir()``.

    Raises:
        UsageError: a checkpoint or a recipe that cannot be read or that does not fit.
        DataError: no test parts, other views than the model's, unfit masks,
            unreadable files, or a view without foreground.
        StorageError: the cache cannot be written.
        DeviceError: the torch device is not there.
    """
    model = load_model(replace(source, checkpoint=checkpoint), search_path=search_path)
    dataset = load_dataset(model.recipe)
    require_test_parts(dataset)
    model = with_views(model, dataset)
    statistics = model.statistics if model.recipe.scoring.pixel_statistics else None
    line = _Line(
        dataset=dataset,
        maps_of=maps_of or torch_maps(model, device),
        teacher=_foreground(model, dataset, device),
        statistics=statistics,
        scoring=model.scoring("statistics" if statistics else None),
        cache_dir=cache_dir or default_cache_dir(),
        progress=progress,
    )
    truth = load_ground_truth(dataset, MASK_SIZE)
    scored = line.score(dataset.test, "test parts")
    held_out = line.score(dataset.validation, "normal parts") if dataset.validation else None
    thresholds, missing = _thresholds(held_out, model, dataset.view_ids)
    report = measure(
        scored,
        truth,
        _identity(model, checkpoint, dataset.view_ids),
        line.scoring,
        thresholds,
        parts_root=str(dataset.root),
        thresholds_missing=missing,
    )
    return Evaluation(report=report, model=model, dataset=dataset, truth=truth, scored=scored)


def _foreground(model: TrainedModel, dataset: Dataset, device: str) -> MaskTeacher | None:
    """The masks that scores are made with: a distilled head's own, otherwise the recipe's."""
    if model.recipe.foreground.kind == "distilled" and model.module.mask_head is not None:
        return HeadTeacher(model.module, dataset.preprocessing, device=device)
    return load_teacher(model.recipe.foreground, device=device)


@dataclass(frozen=True, kw_only=True)
class _Line:
    """From parts to scores, the same for test parts and for those that thresholds come from."""

    dataset: Dataset
    maps_of: MapFunction
    teacher: MaskTeacher | None
    statistics: PixelStatistics | None
    scoring: Scoring
    cache_dir: Path
    progress: bool

    def score(self, parts: Sequence[RecordedPart], what: str) -> ScoredParts:
        maps = anomaly_maps(parts, self.dataset, self.maps_of, what, progress=self.progress)
        foreground = None
        if self.teacher is not None:
            size = (maps.shape[2], maps.shape[3])
            foreground = cache_masks(
                parts, self.dataset, self.teacher, size, folder=self.cache_dir, progress=self.progress
            )
        return score_maps(maps, self.scoring, self.statistics, foreground)


def torch_maps(model: TrainedModel, device: str = "cpu") -> MapFunction:
    """A trained model as a function from images to maps.

    Raises:
        DeviceError: torch does not know the device, or it is not there.
    """
    try:
        module = model.module.to(device)
    except (RuntimeError, AssertionError) as cause:
        raise DeviceError(f"torch device '{device}': {str(cause).splitlines()[0]}; try cpu") from cause

    def maps_of(images: Images) -> FloatArray:
        with torch.inference_mode():
            return np.asarray(module(torch.from_numpy(images).to(device)).cpu().numpy(), np.float32)

    return maps_of


def anomaly_maps(
    parts: Sequence[RecordedPart],
    dataset: Dataset,
    maps_of: MapFunction,
    what: str,
    *,
    progress: bool = True,
) -> FloatArray:
    """Anomaly maps (n, V, h, w) of parts.

    Raises:
        DataError: a map is not finite; part and views are named.
    """
    maps: list[FloatArray] = []
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task(what, total=len(parts), note="")
        for part, images in zip(parts, iterate_images(parts, dataset), strict=True):
            maps.append(maps_of(images))
            finite: Flags = np.all(np.isfinite(maps[-1]), axis=(1, 2))
            if not finite.all():
                views = [view for view, fine in zip(dataset.view_ids, finite, strict=True) if not fine]
                raise DataError(
                    f"part {part.part_id}: its anomaly map is not finite in view {', '.join(views)}; "
                    "check these images and the training's loss"
                )
            bar.update(task, advance=1)
    return np.stack(maps)


def _thresholds(
    held_out: ScoredParts | None, model: TrainedModel, views: tuple[str, ...]
) -> tuple[Thresholds | None, str | None]:
    """Thresholds from held-out normal parts, or why there are none: other figures do not need them."""
    if held_out is None:
        return None, "no held-out normal parts"
    spec = model.recipe.thresholds
    try:
        found = calibrate(
            held_out.parts,
            held_out.views,
            views,
            spec.false_reject_rate,
            method=spec.method,
            tolerance=model.recipe.export.tolerance_fp32 * model.scoring().sensitivity,
        )
    except DataError as cause:
        return None, cause.message
    return found, None


def _identity(model: TrainedModel, checkpoint: Path, views: tuple[str, ...]) -> ModelIdentity:
    with checkpoint.open("rb") as file:
        digest = hashlib.sha256()
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return ModelIdentity(
        checkpoint=str(checkpoint),
        sha256=digest.hexdigest(),
        name=model.recipe.name,
        class_name=model.recipe.data.class_name,
        graph=model.recipe.flow.graph if model.recipe.model == "multi_flow" else model.recipe.model,
        views=views,
        provenance=model.provenance,
    )
