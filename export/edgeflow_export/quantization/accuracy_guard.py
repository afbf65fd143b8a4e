"""The verdict-level guard: what a quantized graph does to part scores and verdicts, against fp32."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from edgeflow.calibration.detection_rates import recall
from edgeflow.contracts.manifest import AccuracyReport, Scale, Thresholds
from edgeflow.contracts.scoring import FloatArray, Masks, near_threshold
from edgeflow.errors import AccuracyError
from edgeflow_export.recipe import ExportSpec

__all__ = [
    "Scored",
    "changed_verdicts",
    "compare",
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


def compare(
    graph: str,
    scored: Scored,
    own: Scale,
    reference: Scored,
    scale: Scale,
    budget: ExportSpec,
    quantized: str = "",
    steps: tuple[str, ...] = (),
) -> AccuracyReport:
    """Compare one quantized graph with fp32 on the same parts.

    Args:
        own: of the graph's own part threshold.
        scale: of the reference's.
        quantized: which of the graph's operations are, for the report.
        steps: what was tried before, for the report.

    Raises:
        AccuracyError: more verdicts change, or scores rank more differently, than the recipe allows.
    """
    moved, before = scaled_parts(scored.parts, own), scaled_parts(reference.parts, scale)
    flips = int(changed_verdicts(moved, before, 1.0, rounding(scale, budget.tolerance_fp32)).sum())
    correlation = float(spearmanr(scored.parts, reference.parts).statistic)
    report = AccuracyReport(
        graph=graph,
        quantized=quantized,
        steps=steps,
        parts=len(scored.parts),
        verdict_flips=flips,
        rank_correlation=round(correlation, 6),
        part_auroc=part_auroc(scored),
        part_auroc_reference=part_auroc(reference),
    )
    problems = []
    # One is always allowed: of few parts, the share that the budget allows is less than one part.
    if flips > max(1, budget.max_flip_rate * len(scored.parts)):
        problems.append(
            f"{flips} of {len(scored.parts)} verdicts change; "
            f"allowed: export.max_flip_rate {budget.max_flip_rate:g}"
        )
    if not correlation >= budget.min_rank_correlation:
        problems.append(
            f"rank correlation of part scores {correlation:.4f}; "
            f"required: export.min_rank_correlation {budget.min_rank_correlation:g}"
        )
    drop = _auroc_drop(report)
    if drop > max(budget.max_auroc_drop, _one_exchange(reference)):
        problems.append(
            f"part AUROC {report.part_auroc:.4f}, in fp32 {report.part_auroc_reference:.4f}; "
            f"allowed: export.max_auroc_drop {budget.max_auroc_drop:g}"
        )
    if problems:
        raise AccuracyError(
            f"{graph} decides differently from fp32; export without int8 (export.precisions: [fp32]), "
            "or calibrate with more parts (export.calibration_parts)",
            problems=problems,
        )
    return report


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


def _auroc_drop(report: AccuracyReport) -> float:
    if report.part_auroc is None or report.part_auroc_reference is None:
        return 0.0
    return report.part_auroc_reference - report.part_auroc


def _one_exchange(scored: Scored) -> float:
    """Smallest measurable loss of AUROC: one defective and one normal part change places."""
    _, labels = scored.tested
    if labels is None or labels.all() or not labels.any():
        return 0.0
    return 1 / float(labels.sum() * (~labels).sum()) + 1e-6  # AUROC is rounded to six digits


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
