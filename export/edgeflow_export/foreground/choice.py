"""Choice of a bundle's foreground: the kind that the recipe names, or the cheapest within its budgets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgeflow.calibration.thresholds import threshold_of
from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.scoring import FP32_TOLERANCE, FloatArray, Masks, masked, part_score, view_scores
from edgeflow.errors import AccuracyError
from edgeflow_export.masks.distillation import intersection_over_union
from edgeflow_export.quantization.accuracy_guard import changed_verdicts

__all__ = [
    "Candidate",
    "Chosen",
    "ForegroundData",
    "MaskAgreement",
    "choose_foreground",
    "compare_masks",
    "fixed_from",
    "require_within_budget",
]

Kind = Literal["none", "fixed", "distilled", "mvanet"]


@dataclass(frozen=True, kw_only=True)
class ForegroundData:
    """The maps, masks and budgets that candidates are compared by.

    Attributes:
        maps: fp32 anomaly maps (n, V, h, w), standardised, without masks.
        truth: the teacher's masks (n, V, h, w).
        normal: how many of the parts, the first ones, are held-out normal parts.
        rate: false-reject rate of the threshold.
        min_iou: smallest mean agreement of masks.
        max_flip_rate: largest share of parts whose verdict changes.
    """

    maps: FloatArray
    truth: Masks
    scoring: Scoring
    normal: int
    rate: float
    min_iou: float
    max_flip_rate: float

    def scores(self, masks: Masks) -> FloatArray:
        """Part scores (n,) under these masks."""
        return part_score(view_scores(masked(self.maps, masks), self.scoring), self.scoring)


@dataclass(frozen=True, kw_only=True)
class MaskAgreement:
    """Agreement of masks with the teacher's: in words, and as true or false against the budgets."""

    figures: str
    fits: bool


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A foreground that could stand in for the teacher's.

    Attributes:
        size: side of MVANet's image; 0 for other kinds.
        masks: of the evidence's parts (n, V, h, w); called only if no cheaper candidate will do.
    """

    kind: Kind
    masks: Callable[[], Masks]
    size: int = 0

    @property
    def name(self) -> str:
        """Kind and size, for messages."""
        return f"{self.kind} at {self.size}" if self.size else self.kind


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The foreground of a bundle, the masks that it gives, and what was measured."""

    kind: Kind
    size: int
    masks: Masks
    note: str


def choose_foreground(candidates: Iterator[Candidate], evidence: ForegroundData) -> Chosen:
    """The first candidate within the budgets; where MVANet is the teacher, it comes last and always is."""
    passed_over: list[str] = []
    for candidate in candidates:
        masks = candidate.masks()
        found = compare_masks(candidate.name, masks, evidence)
        if found.fits:
            note = "; over budget: ".join([f"auto chose {found.figures}", *passed_over])
            return Chosen(kind=candidate.kind, size=candidate.size, masks=masks, note=note)
        passed_over.append(found.figures)
    raise AccuracyError(
        "foreground: no kind keeps masks and verdicts within foreground.min_iou and max_flip_rate; "
        "widen them, or name a kind",
        problems=passed_over,
    )


def require_within_budget(candidate: Candidate, evidence: ForegroundData) -> Chosen:
    """A kind that the recipe names, measured against the teacher's masks.

    Raises:
        AccuracyError: it is over the recipe's budgets.
    """
    masks = candidate.masks()
    found = compare_masks(candidate.name, masks, evidence)
    if not found.fits:
        raise AccuracyError(
            f"foreground {found.figures} against the masks that it stands in for; allowed: "
            f"foreground.min_iou {evidence.min_iou:g}, max_flip_rate {evidence.max_flip_rate:g}; "
            "choose kind: mvanet, or widen them"
        )
    return Chosen(kind=candidate.kind, size=candidate.size, masks=masks, note=found.figures)


def fixed_from(masks: Masks) -> Masks:
    """One mask per view (V, h, w): foreground where it is so in at least half of the parts (n, V, h, w)."""
    return np.asarray(2 * masks.sum(0, dtype=np.int64) >= len(masks), np.uint8)


def compare_masks(name: str, masks: Masks, evidence: ForegroundData) -> MaskAgreement:
    """Mean agreement with the teacher's masks, and verdicts changed at the teacher's threshold.

    Args:
        name: of what gave the masks (n, V, h, w).
    """
    true_scores = evidence.scores(evidence.truth)
    normal = true_scores[: evidence.normal]
    threshold = threshold_of(normal, evidence.rate)
    near = FP32_TOLERANCE * abs(threshold)
    flips = int(changed_verdicts(evidence.scores(masks), true_scores, threshold, near).sum())
    iou = float(intersection_over_union(masks, evidence.truth).mean())
    allowed = max(1, evidence.max_flip_rate * len(evidence.truth))
    return MaskAgreement(
        figures=f"{name}: IoU {iou:.3f}, {flips} of {len(masks)} verdicts changed",
        fits=iou >= evidence.min_iou and flips <= allowed,
    )
