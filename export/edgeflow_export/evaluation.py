"""How well a model tells defective parts, views and pixels from normal ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from rich.table import Table

from edgeflow.contracts.document import Document
from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.parts import RecordedPart
from edgeflow.contracts.scoring import FloatArray, PixelStatistics, part_score, standardise, view_scores
from edgeflow.errors import DataError
from edgeflow_export.calibrate import threshold_of
from edgeflow_export.checkpoints import TrainedModel, load_checkpoint
from edgeflow_export.datasets import (
    Dataset,
    Images,
    Masks,
    iterate_images,
    load_dataset,
    load_masks,
    require_test_parts,
)
from edgeflow_export.progress import progress_bar
from edgeflow_export.ranking import area_under_curve, auroc, region_weights

__all__ = [
    "ClassReport",
    "EvaluationReport",
    "LabelledMaps",
    "MapFunction",
    "anomaly_maps",
    "evaluate",
    "measure",
    "report_table",
    "torch_maps",
]

MASK_SIZE = (256, 256)  # as published: maps and masks are compared at this size
AUPRO_LIMIT = 0.3

Flags = npt.NDArray[np.bool_]

MapFunction = Callable[[Images], FloatArray]
"""uint8 images (V, H, W, 3) of one part to anomaly maps (V, h, w)."""


class ClassReport(Document):
    """One kind of defect against all normal parts."""

    parts: int
    part_auroc: float | None
    recall: float | None = Field(description="share rejected at the threshold")


class EvaluationReport(Document):
    """Figures of one model on one set of test parts; None where a figure needs what is not there."""

    parts: int
    defective_parts: int
    part_auroc: float | None = Field(description="S: a part is defective if any view is")
    view_auroc: float | None = Field(description="I")
    pixel_auroc: float | None = Field(description="P")
    aupro: float | None = Field(description="mean overlap of regions, to 30 % false positives")
    per_view_auroc: dict[str, float | None]
    threshold: float | None = Field(description="raw part score; from held-out normal parts")
    recall: float | None
    false_reject_rate: float | None
    classes: dict[str, ClassReport]
    normal_scores: tuple[float, ...]
    defective_scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class LabelledMaps:
    """Anomaly maps of test parts with their ground truth.

    Attributes:
        maps: (n, V, h, w), as the graph gives them.
        masks: (n, V, H, W), True where defective.
        labels: per part the defect's name, or ``OK``.
    """

    maps: FloatArray
    masks: npt.NDArray[np.bool_]
    labels: tuple[str, ...]
    view_ids: tuple[str, ...]


def evaluate(
    checkpoint: Path,
    *,
    root: Path | None = None,
    maps_of: MapFunction | None = None,
    progress: bool = True,
) -> EvaluationReport:
    """Evaluate a checkpoint on the test parts of its recipe.

    Args:
        root: another folder with the parts.
        maps_of: another form of the same model, such as an INT8 graph; default: torch.

    Raises:
        CheckpointError: the checkpoint cannot be read.
        DataError: no test parts, or parts without masks or with unreadable files.
    """
    model = load_checkpoint(checkpoint)
    dataset = load_dataset(model.recipe, root=root)
    require_test_parts(dataset)
    maps_of = maps_of or torch_maps(model)
    tested = LabelledMaps(
        maps=anomaly_maps(dataset.test, dataset, maps_of, "test parts", progress=progress),
        masks=np.stack([load_masks(part, dataset, MASK_SIZE) for part in dataset.test]),
        labels=tuple(part.label or "OK" for part in dataset.test),
        view_ids=dataset.view_ids,
    )
    scoring = model.recipe.scoring.scoring("statistics" if model.statistics else None)
    threshold = None
    if dataset.validation:
        held_out = anomaly_maps(dataset.validation, dataset, maps_of, "normal parts", progress=progress)
        scores = part_score(view_scores(standardise(held_out, model.statistics), scoring), scoring)
        threshold = threshold_of(scores, model.recipe.thresholds.false_reject_rate)
    return measure(tested, scoring, statistics=model.statistics, threshold=threshold)


def torch_maps(model: TrainedModel) -> MapFunction:
    """A trained model as a function from images to maps."""

    def maps_of(images: Images) -> FloatArray:
        with torch.inference_mode():
            return np.asarray(model.module(torch.from_numpy(images)).numpy(), np.float32)

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
        DataError: a map is not finite; the part is named.
    """
    maps: list[FloatArray] = []
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task(what, total=len(parts), note="")
        for part, images in zip(parts, iterate_images(parts, dataset), strict=True):
            maps.append(maps_of(images))
            if not np.isfinite(maps[-1]).all():
                raise DataError(f"part {part.part_id}: its anomaly map is not finite; check the training")
            bar.advance(task)
    return np.stack(maps)


def measure(
    tested: LabelledMaps,
    scoring: Scoring,
    *,
    statistics: PixelStatistics | None = None,
    threshold: float | None = None,
) -> EvaluationReport:
    """All figures from maps and ground truth; the same for torch, fp32 and INT8 graphs.

    A view is defective where its mask is not empty, a part where any of its views is.
    """
    maps = standardise(tested.maps, statistics)
    views = view_scores(maps, scoring)
    scores = part_score(views, scoring)
    bad_views: Flags = np.any(tested.masks, axis=(2, 3))
    bad: Flags = np.any(bad_views, axis=1)
    pixel, aupro = _pixel_figures(maps, tested.masks)
    over = None if threshold is None else scores > threshold
    return EvaluationReport(
        parts=len(scores),
        defective_parts=int(bad.sum()),
        part_auroc=auroc(scores, bad),
        view_auroc=auroc(views.ravel(), bad_views.ravel()),
        pixel_auroc=pixel,
        aupro=aupro,
        per_view_auroc={
            view: auroc(views[:, index], bad_views[:, index]) for index, view in enumerate(tested.view_ids)
        },
        threshold=threshold,
        recall=_share(over, bad),
        false_reject_rate=_share(over, ~bad),
        classes=_classes(tested.labels, scores, bad, over),
        normal_scores=tuple(float(score) for score in scores[~bad]),
        defective_scores=tuple(float(score) for score in scores[bad]),
    )


def report_table(report: EvaluationReport) -> Table:
    """The report for a terminal."""
    table = Table(
        title=f"{report.parts} test parts, {report.defective_parts} defective", title_justify="left"
    )
    for column in ("", "parts", "part AUROC", "recall at the threshold"):
        table.add_column(column, justify="left" if not column else "right")
    for name, kind in report.classes.items():
        table.add_row(name, str(kind.parts), _figure(kind.part_auroc), _percent(kind.recall))
    table.add_section()
    defective = str(report.defective_parts)
    table.add_row("all defects", defective, _figure(report.part_auroc), _percent(report.recall))
    table.caption = (
        f"view AUROC {_figure(report.view_auroc)}, pixel AUROC {_figure(report.pixel_auroc)}, "
        f"AUPRO {_figure(report.aupro)}; normal parts rejected: {_percent(report.false_reject_rate)}"
    )
    return table


def _pixel_figures(maps: FloatArray, masks: Masks) -> tuple[float | None, float | None]:
    """Pixel AUROC and AUPRO; maps are enlarged bilinearly to the masks' size."""
    size = (masks.shape[3], masks.shape[2])
    normal, defective, weights = [], [], []
    for anomaly_map, mask in zip(
        maps.reshape(-1, *maps.shape[2:]), masks.reshape(-1, *masks.shape[2:]), strict=True
    ):
        enlarged = cv2.resize(anomaly_map, size, interpolation=cv2.INTER_LINEAR)
        normal.append(enlarged[~mask])
        defective.append(enlarged[mask])
        weights.append(region_weights(mask))
    low, high = np.concatenate(normal), np.concatenate(defective)
    return (
        area_under_curve(low, high),
        area_under_curve(low, high, weights=np.concatenate(weights), limit=AUPRO_LIMIT),
    )


def _classes(
    labels: Iterable[str],
    scores: FloatArray,
    bad: Flags,
    over: Flags | None,
) -> dict[str, ClassReport]:
    names = np.asarray(tuple(labels))
    reports = {}
    for name in sorted(set(names[bad].tolist())):
        members = bad & (names == name)
        compared = members | ~bad
        reports[name] = ClassReport(
            parts=int(members.sum()),
            part_auroc=auroc(scores[compared], members[compared]),
            recall=_share(over, members),
        )
    return reports


def _share(over: Flags | None, among: Flags) -> float | None:
    return None if over is None or not among.any() else float(over[among].mean())


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
