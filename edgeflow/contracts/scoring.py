"""Anomaly maps to view and part scores, and raw scores to scaled ones: the same arithmetic everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.documents.entry_name import EntryName
from edgeflow.contracts.thresholds import Positive, Scale, Thresholds, subset_key

__all__ = [
    "CLEAR",
    "FP32_TOLERANCE",
    "FloatArray",
    "Masks",
    "PixelStatistics",
    "Scoring",
    "ViewScale",
    "masked",
    "near_threshold",
    "part_score",
    "pooled",
    "scaled",
    "smoothed",
    "standardise",
    "subset_scale",
    "view_bounds",
    "view_scores",
]

FloatArray = npt.NDArray[np.float32]
FP32_TOLERANCE = 1e-4
"""Relative error that a float graph may have, unless a recipe says otherwise."""
CLEAR = 1e-4
"""A bound nearer to the threshold than this, on the scale where the threshold is 1.0, decides nothing."""

BLURS: Mapping[str, tuple[int, tuple[np.float32, ...]]] = {
    "mean_2x2": (0, (np.float32(0.5), np.float32(0.5))),
    "gaussian": (2, tuple(np.float32(weight) for weight in (0.02193, 0.22851, 0.49912, 0.22851, 0.02193))),
}
"""Name of a blur → pixels before the one that it is for, and weights along rows and columns alike.

``gaussian`` has a deviation of 0.8 pixels."""

Masks = npt.NDArray[np.uint8]
"""Foreground masks at map size, uint8 (..., V, h, w) of 0 (background) and 1."""

_BLUR_WORDS = {"mean_2x2": "the mean of 2 by 2 pixels", "gaussian": "a Gaussian of 0.8 pixels"}


class ViewScale(Document):
    """One view's score on the scale that all views share: score times ``gain`` plus ``offset``."""

    gain: float = Field(gt=0)
    offset: float


class Scoring(Document):
    """Rules from an anomaly map to a view score, and from view scores to a part score."""

    view: Literal["max", "mean", "top_k"] = "max"
    top_k: Positive | None = None
    top_share: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="of view: top_k, instead of a number of pixels: this share of the map's"
    )
    blur: Literal["mean_2x2", "gaussian"] | None = Field(
        default=None,
        description="of maps after the mask and before they are pooled: mean of 2 by 2 pixels, or a Gaussian "
        "with a deviation of 0.8 pixels; None, also in bundles made before 1.5: none",
    )
    part: Literal["mean", "max"] = "mean"
    pixel_statistics: EntryName | None = Field(
        default=None,
        description="npz with mean and std (V, h, w) of normal parts; maps are standardised by it",
    )
    view_scales: tuple[ViewScale, ...] | None = Field(
        default=None,
        description="of every view, from training parts: view scores go through it on their way to the part "
        "score; None, also in bundles made before 1.5: they do not",
    )

    @model_validator(mode="after")
    def _k_belongs_to_top_k(self) -> Scoring:
        given = [value for value in (self.top_k, self.top_share) if value is not None]
        if len(given) != (self.view == "top_k"):
            raise ValueError("top_k goes with view: top_k, and only with it; or top_share in its place")
        return self

    @property
    def pooled(self) -> str:
        """The pixels of a map that make the view score."""
        blur = "" if self.blur is None else f" of the map blurred by {_BLUR_WORDS[self.blur]}"
        if self.view == "max":
            return f"the highest pixel{blur}"
        if self.view == "mean":
            return f"the mean{blur}"
        if self.top_share is not None:
            return f"the mean of the highest {self.top_share:.3g} of the pixels{blur}"
        return f"the mean of the {self.top_k} highest pixels{blur}"

    @property
    def sensitivity(self) -> float:
        """The most that a part score moves where every pixel of its maps moves by 1."""
        return 1.0 if self.view_scales is None else max(1.0, *(scale.gain for scale in self.view_scales))

    def only(self, places: Sequence[int]) -> Scoring:
        """The rules for a part that shows some of the views alone.

        Args:
            places: of these views among all.
        """
        if self.view_scales is None or list(places) == list(range(len(self.view_scales))):
            return self
        return self.model_copy(update={"view_scales": tuple(self.view_scales[place] for place in places)})


@dataclass(frozen=True, kw_only=True)
class PixelStatistics:
    """Mean and deviation of each pixel's negative log-likelihood over normal parts, each (V, h, w)."""

    mean: FloatArray
    std: FloatArray


def standardise(maps: FloatArray, statistics: PixelStatistics | None) -> FloatArray:
    """Anomaly maps (..., V, h, w) in deviations from normal parts; unchanged without statistics."""
    if statistics is None:
        return maps
    return np.asarray((maps - statistics.mean) / statistics.std, np.float32)


def masked(maps: FloatArray, masks: Masks | None) -> FloatArray:
    """Anomaly maps (..., V, h, w) whose background counts as 0, as published; unchanged without masks.

    For a mask m of 0 and 1 the published ``½Σ(m·z)² − m·log|det J|`` is ``m·(½Σz² − log|det J|)``, so that
    the mask can be applied after the flow (Multi-Flow, section 3). A pixel that is not finite stays so, as
    it does there: a broken map must not pass as background.
    """
    if masks is None:
        return maps
    return np.asarray(np.where((masks != 0) | ~np.isfinite(maps), maps, np.float32(0)), np.float32)


def view_bounds(maps: FloatArray, scoring: Scoring) -> tuple[FloatArray, FloatArray]:
    """The lowest and highest view scores (..., V) that any foreground masks could give.

    A mask leaves a pixel as it is or makes it 0, and neither blur nor pooling falls when a pixel rises, also
    as they are rounded.
    """
    zero = np.float32(0)
    lowest, highest = view_scores(np.stack([np.minimum(maps, zero), np.maximum(maps, zero)]), scoring)
    return lowest, highest


def smoothed(maps: FloatArray, scoring: Scoring) -> FloatArray:
    """Masked anomaly maps (..., V, h, w) as they are pooled and shown; unchanged without a blur.

    The blur comes after the mask: background is 0 by then, so that nothing of it reaches the part. A map is
    continued beyond its edges by its outermost pixels. Sums are taken in one order, so that they round alike
    on every processor.
    """
    if scoring.blur is None:
        return maps
    rows = _along_rows(maps, *BLURS[scoring.blur])
    return _along_rows(rows.swapaxes(-2, -1), *BLURS[scoring.blur]).swapaxes(-2, -1)


def _along_rows(maps: FloatArray, before: int, weights: Sequence[np.float32]) -> FloatArray:
    """Weighted sums along the last axis; in place, since a box does this for every part."""
    blurred = np.zeros_like(maps)
    for place, weight in enumerate(weights, -before):
        tap = maps * weight
        if place == 0:
            blurred += tap
        elif place > 0:
            blurred[..., :-place] += tap[..., place:]
            blurred[..., -place:] += tap[..., -1:]
        else:
            blurred[..., -place:] += tap[..., :place]
            blurred[..., :-place] += tap[..., :1]
    return blurred


def view_scores(maps: FloatArray, scoring: Scoring) -> FloatArray:
    """Blur and pool masked anomaly maps (..., V, h, w) into view scores (..., V)."""
    return pooled(smoothed(maps, scoring), scoring)


def pooled(maps: FloatArray, scoring: Scoring) -> FloatArray:
    """Pool masked and blurred anomaly maps (..., V, h, w) into view scores (..., V).

    The published score is the maximum (Multi-Flow); ``top_k`` is the mean of the k highest pixels, or of a
    share of the map, at least one pixel.
    """
    flat = maps.reshape(*maps.shape[:-2], -1)
    if scoring.view == "max":
        return np.asarray(flat.max(-1))
    if scoring.view == "mean":
        return np.asarray(flat.mean(-1, dtype=np.float64), np.float32)
    k = _pixels(scoring, flat.shape[-1])
    # Sorted, so that sums are rounded alike and a map that is nowhere lower never scores lower.
    highest = np.sort(np.partition(flat, flat.shape[-1] - k, axis=-1)[..., -k:], axis=-1)
    return np.asarray(highest.mean(-1, dtype=np.float64), np.float32)


def _pixels(scoring: Scoring, count: int) -> int:
    if scoring.top_share is not None:
        return max(1, round(scoring.top_share * count))
    return min(scoring.top_k or 1, count)


def part_score(views: FloatArray, scoring: Scoring) -> FloatArray:
    """View scores (..., V) to part scores (...): their mean, as published, or their maximum.

    Args:
        scoring: with the scales of these views and no others; see ``Scoring.only``.
    """
    if scoring.view_scales is not None:
        gains = np.array([scale.gain for scale in scoring.view_scales])
        views = np.asarray(views * gains + [scale.offset for scale in scoring.view_scales], np.float32)
    if scoring.part == "max":
        return np.asarray(views.max(-1))
    return np.asarray(views.mean(-1, dtype=np.float64), np.float32)


def near_threshold(scale: Scale, tolerance: float) -> float:
    """Distance to the threshold, in raw score, within which a float graph's rounding may change the verdict.

    Args:
        tolerance: relative error that the graph may have.
    """
    return tolerance * max(abs(scale.centre), abs(scale.threshold))


def scaled(raw: float, scale: Scale) -> float:
    """Raw score to the scale on which 1.0 is the threshold; not clamped, negative scores allowed."""
    return (raw - scale.centre) / (scale.threshold - scale.centre)


def subset_scale(thresholds: Thresholds, present_views: Iterable[str]) -> Scale | None:
    """The scale of a part score that comes from some of the views alone.

    Returns:
        The full part's scale where no view is absent; None where the bundle was not calibrated for this set.
    """
    present = set(present_views)
    return (
        thresholds.part if present == set(thresholds.views) else thresholds.subsets.get(subset_key(present))
    )
