"""Scores of a graph for the parts of an export, and the verdicts that they give."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from edgeflow.calibration.detection_rates import recall
from edgeflow.contracts.manifest import Scale, Thresholds
from edgeflow.contracts.scoring import FloatArray, Masks, near_threshold
from edgeflow.errors import AccuracyError

__all__ = [
    "Scored",
    "changed_verdicts",
    "part_auroc",
    "require_recall",
    "rounding",
    "scaled_parts",
]


@dataclass(frozen=True, kw_only=True)
class Scored:
    """The results of one graph for the guard's parts.

    Attributes:
        maps: (n, V, h, w), as the graph gives them.
        masks: foreground (n, V, h, w); None where every pixel counts.
        own_masks: what a graph with a distilled head gave, whether used or not.
        views: raw view scores (n, V).
        parts: raw part scores (n,).
        defective: (n,), where the parts are labelled.
        held_out: how many of the parts, the first ones, are normal ones that thresholds come from.
    """

    maps: FloatArray
    masks: Masks | None
    views: FloatArray
    parts: FloatArray
    defective: npt.NDArray[np.bool_] | None
    own_masks: Masks | None = None
    held_out: int = 0

    @property
    def tested(self) -> tuple[FloatArray, npt.NDArray[np.bool_] | None]:
        """Scores and labels of the test parts, which ``evaluate`` ranks too.

        Of all parts where no test part is normal, so that there is something to rank against.
        """
        labels = self.defective
        if labels is None or not self.held_out or labels[self.held_out :].all():
            return self.parts, labels
        return self.parts[self.held_out :], labels[self.held_out :]


def scaled_parts(parts: FloatArray, scale: Scale) -> FloatArray:
    """Raw part scores (n,) on the scale where the threshold is 1."""
    return np.asarray((parts.astype(np.float64) - scale.centre) / (scale.threshold - scale.centre))


def rounding(scale: Scale, tolerance: float) -> float:
    """Distance to the threshold, in scaled score, within which a float graph's rounding decides.

    Args:
        tolerance: relative error that the graph may have.
    """
    return near_threshold(scale, tolerance) / (scale.threshold - scale.centre)


def changed_verdicts(
    scores: FloatArray, reference: FloatArray, threshold: float, near: float
) -> npt.NDArray[np.bool_]:
    """Mark the parts (n,) whose verdict differs from the reference's.

    Args:
        scores, reference: raw, or each scaled by its own graph's threshold, which is 1 then.
        near: a part whose reference score is no farther from the threshold has no verdict to compare with:
            another processor may give the other one. See ``near_threshold`` and :func:`rounding`.
    """
    clear = np.abs(reference - threshold) > near
    return np.asarray(clear & ((scores > threshold) != (reference > threshold)))


def require_recall(thresholds: Thresholds, wanted: float) -> None:
    """Refuse a model that lets defective parts pass.

    Raises:
        AccuracyError: says how many of the labelled ones.
    """
    found = recall(thresholds)
    if found is not None and found.upper < wanted:
        raise AccuracyError(
            f"at its threshold the model rejects only {found} of the labelled defective parts; with 95 % "
            f"confidence it finds less than {found.upper:.0%} of such parts (export.min_recall {wanted:g}). "
            "Nothing was written: look at 'edgeflow evaluate', train longer or with another extractor or "
            "scoring, or export all the same with --accept-low-recall"
        )


def part_auroc(scored: Scored) -> float | None:
    """AUROC of the test parts' scores, as ``evaluate`` gives it; None without labels of both kinds."""
    scores, labels = scored.tested
    if labels is None or labels.all() or not labels.any():
        return None
    return round(float(roc_auc_score(labels, scores)), 6)
