"""Figures of merit from anomaly maps and ground truth; the same for torch, fp32 and INT8 graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from edgeflow import __version__
from edgeflow.contracts.manifest import Scale, Scoring, Thresholds
from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    PixelStatistics,
    masked,
    part_score,
    scaled,
    smoothed,
    standardise,
    view_scores,
)
from edgeflow_export.data.ground_truth import Flags, GroundTruth, region_weights
from edgeflow_export.evaluation.auroc import auroc, rank_pixels
from edgeflow_export.evaluation.report import ClassReport, EvaluationReport, JudgedPart, ModelIdentity

__all__ = ["AUPRO_LIMIT", "ScoredParts", "measure", "pixel_figures", "score_maps"]

AUPRO_LIMIT = 0.3
TOP_SHARES = (0.005, 0.01, 0.02, 0.05)


@dataclass(frozen=True, kw_only=True)
class ScoredParts:
    """Maps and raw scores of n parts.

    Attributes:
        maps: (n, V, h, w), as they are pooled: standardised, masked and blurred where the model asks for it.
        views: (n, V).
        parts: (n,).
    """

    maps: FloatArray
    views: FloatArray
    parts: FloatArray


def score_maps(
    maps: FloatArray,
    scoring: Scoring,
    statistics: PixelStatistics | None = None,
    foreground: Masks | None = None,
) -> ScoredParts:
    """Scores of parts from their maps (n, V, h, w), as the graph gives them.

    Args:
        foreground: masks (n, V, h, w) outside of which a pixel counts as 0.
    """
    maps = masked(standardise(maps, statistics), foreground)
    views = view_scores(maps, scoring)
    return ScoredParts(maps=smoothed(maps, scoring), views=views, parts=part_score(views, scoring))


def measure(
    scored: ScoredParts,
    truth: GroundTruth,
    model: ModelIdentity,
    scoring: Scoring,
    thresholds: Thresholds | None,
    *,
    parts_root: str = "",
    thresholds_missing: str | None = None,
) -> EvaluationReport:
    """All figures of one model on its test parts; a part is defective where any of its views is."""
    bad = truth.defective_parts
    over = None if thresholds is None else scored.parts > thresholds.part.threshold
    pixel, aupro = pixel_figures(scored.maps, truth) if truth.has_masks else (None, None)
    accepted, rejected = _mistakes(scored, truth, thresholds, over)
    return EvaluationReport(
        created_by=f"edgeflow {__version__}",
        model=model,
        parts_root=parts_root,
        parts=len(bad),
        defective_parts=int(bad.sum()),
        part_auroc=auroc(scored.parts, bad),
        view_auroc=auroc(scored.views.ravel(), truth.defective.ravel()) if truth.has_masks else None,
        pixel_auroc=pixel,
        aupro=aupro,
        per_view_auroc={
            view: auroc(scored.views[:, v], truth.defective[:, v]) if truth.has_masks else None
            for v, view in enumerate(truth.view_ids)
        },
        scoring=scoring,
        poolings=_poolings(scored.maps, scoring, bad),
        thresholds=thresholds,
        thresholds_missing=thresholds_missing,
        recall=_share(over, bad),
        false_reject_rate=_share(over, ~bad),
        false_accepts=accepted,
        false_rejects=rejected,
        classes=_classes(truth.labels, scored.parts, bad, over),
        normal_scores=tuple(float(score) for score in scored.parts[~bad]),
        defective_scores=tuple(float(score) for score in scored.parts[bad]),
    )


def _poolings(
    maps: FloatArray, used: Scoring, bad: Flags
) -> dict[str, dict[Literal["mean", "max"], float | None]]:
    """Part AUROC under the usual scorings and the one in use.

    Args:
        maps: (n, V, h, w), blurred where ``used`` asks for it.
    """
    ways: list[Literal["mean", "max"]] = ["mean", "max"]
    blur = used.blur
    top = [Scoring(view="top_k", top_share=share, blur=blur) for share in TOP_SHARES]
    scorings = {
        each.pooled: each.model_copy(update={"blur": None})
        for each in (Scoring(blur=blur), *top, Scoring(view="mean", blur=blur), used)
    }
    return {
        name: {
            way: auroc(part_score(view_scores(maps, each), each.model_copy(update={"part": way})), bad)
            for way in ways
        }
        for name, each in scorings.items()
    }


def pixel_figures(maps: FloatArray, truth: GroundTruth) -> tuple[float | None, float | None]:
    """Pixel AUROC and AUPRO at the masks' size; enlarged maps are never all in memory."""
    found, weights = [np.empty(0, np.float32)], [np.empty(0)]
    for part, view in np.argwhere(truth.defective):
        mask = truth.masks[part][view]
        found.append(_enlarged(maps[part, view], mask.shape)[mask])
        weights.append(region_weights(mask))
    ranks = rank_pixels(_normal_pixels(maps, truth), np.concatenate(found))
    return ranks.area(), ranks.area(weights=np.concatenate(weights), limit=AUPRO_LIMIT)


def _normal_pixels(maps: FloatArray, truth: GroundTruth) -> Iterator[FloatArray]:
    """Scores of the normal pixels of each map."""
    for part_maps, masks, defective in zip(maps, truth.masks, truth.defective, strict=True):
        for anomaly_map, mask, wrong in zip(part_maps, masks, defective, strict=True):
            enlarged = _enlarged(anomaly_map, mask.shape)
            yield enlarged[~mask] if wrong else enlarged.ravel()


def _enlarged(anomaly_map: FloatArray, size: tuple[int, ...]) -> FloatArray:
    """A map (h, w) enlarged bilinearly to (H, W), as published."""
    return np.asarray(cv2.resize(anomaly_map, (size[1], size[0]), interpolation=cv2.INTER_LINEAR), np.float32)


def _mistakes(
    scored: ScoredParts, truth: GroundTruth, thresholds: Thresholds | None, over: Flags | None
) -> tuple[tuple[JudgedPart, ...] | None, tuple[JudgedPart, ...] | None]:
    """False accepts and false rejects, the worst first; None without thresholds."""
    if thresholds is None or over is None:
        return None, None
    bad = truth.defective_parts
    order = np.argsort(scored.parts, kind="stable")
    accepted = [index for index in order if bad[index] and not over[index]]
    rejected = [index for index in order[::-1] if over[index] and not bad[index]]
    return (
        tuple(_judged(int(index), scored, truth, thresholds) for index in accepted),
        tuple(_judged(int(index), scored, truth, thresholds) for index in rejected),
    )


def _judged(index: int, scored: ScoredParts, truth: GroundTruth, thresholds: Thresholds) -> JudgedPart:
    def to_scale(raw: np.float32, scale: Scale) -> float:
        return scaled(float(raw), scale)

    views = zip(truth.view_ids, scored.views[index], strict=True)
    return JudgedPart(
        part_id=truth.part_ids[index],
        label=truth.labels[index],
        score=to_scale(scored.parts[index], thresholds.part),
        score_raw=float(scored.parts[index]),
        views={view: to_scale(raw, thresholds.views[view]) for view, raw in views},
    )


def _classes(
    labels: tuple[str, ...], scores: FloatArray, bad: Flags, over: Flags | None
) -> dict[str, ClassReport]:
    names = np.asarray(labels)
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
