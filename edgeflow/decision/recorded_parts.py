"""Verdicts on recorded parts without a line, by the line's scorer and judgement."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgeflow.bundles.bundle import Bundle
from edgeflow.contracts.datasets.data_depth import data_depth, require_filled_range
from edgeflow.contracts.datasets.find_parts import RecordedPart, find_parts
from edgeflow.contracts.datasets.recipe_choices import recipe_choices
from edgeflow.contracts.documents.file_names import file_name
from edgeflow.contracts.image_files.bit_depth import DEEPEST
from edgeflow.contracts.images import read_image
from edgeflow.contracts.manifest import Thresholds
from edgeflow.contracts.messages import VerdictName
from edgeflow.contracts.preprocess import reading_of
from edgeflow.contracts.scoring import scaled
from edgeflow.decision.decision import judge_scores
from edgeflow.errors import DataError, StorageError
from edgeflow.scoring.heatmap import heat_overlay
from edgeflow.scoring.scorer import Scorer, Scores

__all__ = [
    "ScoredPart",
    "ViewScore",
    "doubtful_depth",
    "find_bundle_parts",
    "require_depth",
    "save_maps",
    "score_parts",
]


@dataclass(frozen=True, kw_only=True)
class ViewScore:
    """One view's score; ``score`` 1.0 is the threshold, None where it is not finite."""

    id: str
    score: float | None
    score_raw: float | None


@dataclass(frozen=True, kw_only=True)
class ScoredPart:
    """One line of ``edgeflow score``."""

    part_id: str
    verdict: VerdictName
    reason: str
    score: float | None
    score_raw: float | None
    views: tuple[ViewScore, ...]


def find_bundle_parts(
    bundle: Bundle, root: Path, class_name: str | None = None, *, incomplete: bool = False
) -> tuple[RecordedPart, ...]:
    """The recorded parts below a folder; each must have every view of the bundle.

    Args:
        incomplete: parts may lack views or files.

    Raises:
        DataError: no parts, or parts with missing, doubled or unknown views; all are named.
    """
    ids = bundle.manifest.view_ids
    choices = recipe_choices(bundle.manifest.recipe, root)
    parts = find_parts(
        root,
        class_name=class_name,
        views=ids,
        incomplete=incomplete,
        layout=choices.layout,
        split=choices.split,
    )
    unknown = [
        f"part {part.part_id}: view {', '.join(extra)} is unknown to the bundle (its views: {', '.join(ids)})"
        for part in parts
        if (extra := [view for view in part.images if view not in ids])
    ]
    if unknown:
        raise DataError(f"{root}: {len(unknown)} problem(s) with its parts", problems=unknown)
    return parts


def require_depth(bundle: Bundle, parts: tuple[RecordedPart, ...], *, allow_dark: bool) -> None:
    """Check that the files of recorded parts have one depth, and that they use the bundle's range of it.

    Args:
        allow_dark: accept parts whose values use less than a quarter of the range.

    Raises:
        DataError: files of different depth, or values that use less than a quarter of the range.
    """
    _require_depth(bundle, parts, "accept them with --allow-dark", allow_dark=allow_dark)


def doubtful_depth(bundle: Bundle, parts: tuple[RecordedPart, ...]) -> str | None:
    """Return the reason to doubt the scores of recorded parts: files of different depth, or nearly black."""
    try:
        _require_depth(bundle, parts, "the scores are right", allow_dark=False)
    except DataError as error:
        return str(error)
    return None


def _require_depth(bundle: Bundle, parts: tuple[RecordedPart, ...], remedy: str, *, allow_dark: bool) -> None:
    manifest = bundle.manifest
    files = [part.images[view] for part in parts for view in manifest.view_ids if view in part.images]
    depth = data_depth(files, declared=manifest.preprocessing.bits or DEEPEST, what="the parts")
    if depth.deep and not allow_dark:
        views = {
            view: [part.images[view] for part in parts if view in part.images] for view in manifest.view_ids
        }
        require_filled_range(views, depth.bits, what="the parts", remedy=remedy)


def score_parts(
    bundle: Bundle, scorer: Scorer, parts: tuple[RecordedPart, ...]
) -> Iterator[tuple[ScoredPart, Scores | None]]:
    """Score parts one by one; a view that is missing or cannot be decoded makes its part UNDECIDED."""
    thresholds, reading = scorer.thresholds, reading_of(bundle.manifest.preprocessing)
    for part in parts:
        try:
            _require_views(part, bundle.manifest.view_ids)
            images = {view: read_image(part.images[view], reading) for view in bundle.manifest.view_ids}
            scores = scorer.score(images, ask="all")
        except DataError as error:
            views = tuple(ViewScore(id=view, score=None, score_raw=None) for view in bundle.manifest.view_ids)
            yield (
                ScoredPart(
                    part_id=part.part_id,
                    verdict="UNDECIDED",
                    reason=error.message,
                    score=None,
                    score_raw=None,
                    views=views,
                ),
                None,
            )
            continue
        verdict, reason = judge_scores(scores, thresholds)
        yield (
            ScoredPart(
                part_id=part.part_id,
                verdict=verdict,
                reason=reason,
                score=_finite(scaled(scores.part, thresholds.part)),
                score_raw=_finite(scores.part),
                views=tuple(
                    ViewScore(id=v, score=_finite(scaled(raw, thresholds.views[v])), score_raw=_finite(raw))
                    for v, raw in scores.views.items()
                ),
            ),
            scores,
        )


def _require_views(part: RecordedPart, views: tuple[str, ...]) -> None:
    missing = [view for view in views if view not in part.images]
    if missing:
        raise DataError(f"missing views: {', '.join(missing)}")


def save_maps(bundle: Bundle, thresholds: Thresholds, part_id: str, scores: Scores, folder: Path) -> None:
    """Write per view the heat map over the model image (PNG), and all maps (npz).

    Args:
        thresholds: of the graph that scored the part.

    Raises:
        StorageError: the folder cannot be written.
    """
    try:
        _save_maps(bundle, thresholds, part_id, scores, folder)
    except OSError as cause:
        raise StorageError(
            f"{folder}: maps cannot be written: {cause.strerror}; make room, or give another folder"
        ) from cause


def _save_maps(bundle: Bundle, thresholds: Thresholds, part_id: str, scores: Scores, folder: Path) -> None:
    target = folder / file_name(part_id)
    target.mkdir(parents=True, exist_ok=True)
    for view, image, heat in zip(bundle.manifest.view_ids, scores.inputs, scores.maps, strict=True):
        overlay = heat_overlay(image, heat, thresholds.views[view])
        Image.fromarray(overlay).save(target / f"{view}.png")
    np.savez_compressed(target / "maps.npz", maps=scores.maps, views=np.array(bundle.manifest.view_ids))


def _finite(value: float) -> float | None:
    """JSON has no NaN: a score that is not finite is absent."""
    return value if np.isfinite(value) else None
