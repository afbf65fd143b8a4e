"""Hand-made evaluations: four parts of two views, their scores and their truth."""

from __future__ import annotations

import numpy as np

from edgeflow.contracts.manifest import Scale, Scoring, Thresholds
from edgeflow.contracts.scoring import FloatArray, PixelStatistics
from edgeflow_export.data.ground_truth import GroundTruth
from edgeflow_export.evaluation.metrics import measure, score_maps
from edgeflow_export.evaluation.report import EvaluationReport, ModelIdentity

MAX_MEAN = Scoring(view="max", part="mean")


def identity(
    *, name: str = "disc", class_name: str | None = None, graph: str = "cs_neigh", folder: str = "run"
) -> ModelIdentity:
    return ModelIdentity(
        checkpoint=f"{folder}/checkpoint.safetensors",
        sha256="0" * 64,
        name=name,
        class_name=class_name,
        graph=graph,
        views=("a", "b"),
        provenance={},
    )


def thresholds(part: float) -> Thresholds:
    return Thresholds(
        part=Scale(centre=1.0, threshold=part),
        views={"a": Scale(centre=0.0, threshold=part), "b": Scale(centre=0.0, threshold=part)},
        false_reject_rate=0.05,
        normal_parts=20,
    )


def hand_made() -> tuple[FloatArray, GroundTruth]:
    """Maps and truth, 4x4: two normal parts, a 'dent' seen by one view, a 'chip' by both."""
    maps = np.zeros((4, 2, 4, 4), np.float32)
    masks = np.zeros((4, 2, 4, 4), np.bool_)
    maps[0, :, 0, 0] = 1, 2
    maps[1, :, 0, 0] = 3, 1
    maps[2, :, 1, 1] = 9, 0.5
    masks[2, 0, 1, 1] = True
    maps[3, :, 2, 2] = 1, 1.5
    masks[3, :, 2, 2] = True
    truth = GroundTruth(
        part_ids=("p0", "p1", "p2", "p3"),
        view_ids=("a", "b"),
        labels=("OK", "OK", "dent", "chip"),
        defective=masks.any(axis=(2, 3)),
        masks=tuple(masks),
    )
    return maps, truth


def report_on(
    maps: FloatArray,
    truth: GroundTruth,
    *,
    threshold: float | None = None,
    statistics: PixelStatistics | None = None,
    model: ModelIdentity | None = None,
) -> EvaluationReport:
    """The report with part score = mean over views of the map's maximum."""
    return measure(
        score_maps(maps, MAX_MEAN, statistics),
        truth,
        model or identity(),
        MAX_MEAN,
        None if threshold is None else thresholds(threshold),
    )
