"""The budget of a reduced graph: it must decide like fp32, each graph on its own scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, spearmanr

from edgeflow.contracts.manifest import AccuracyReport, Scale
from edgeflow.contracts.parity import relative_error
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import AccuracyError
from edgeflow_export.quantization.accuracy_guard import (
    Scored,
    changed_verdicts,
    part_auroc,
    rounding,
    scaled_parts,
)
from edgeflow_export.quantization.ranking_loss import LEAST_LABELLED, Loss, auroc_loss
from edgeflow_export.recipe import ExportSpec

__all__ = ["ENOUGH", "LEAST_NEAR", "NEAR", "Judged", "allowed_flips", "hold_budget"]

NEAR = (0.8, 1.25)
"""A part is near the threshold where its scaled score lies between these."""
LEAST_NEAR = 10
"""Of fewer near parts, the nearest so many are looked at instead."""
ENOUGH = 30
"""The mean of fewer parts may be off by as much as chance explains."""
_CHANCE = 0.95


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One graph's scores, with what they are compared by.

    Attributes:
        scale: of the graph's own part threshold.
        counted: maps (n, V, h, w) as they are pooled: standardised, background 0.
    """

    scored: Scored
    scale: Scale
    counted: FloatArray

    @property
    def scaled(self) -> FloatArray:
        """Part scores (n,) on the graph's own scale."""
        return scaled_parts(self.scored.parts, self.scale)


@dataclass(frozen=True, kw_only=True)
class _Movement:
    """Movement of scaled scores near the threshold.

    Attributes:
        near: the parts lie near the threshold; otherwise too few do, and these are the nearest.
        chance: by how much the mean may miss the true one for want of parts.
    """

    parts: int
    near: bool
    bias: float
    deviation: float
    chance: float


def hold_budget(
    graph: str,
    judged: Judged,
    reference: Judged,
    budget: ExportSpec,
    *,
    aupro: Loss | None = None,
    quantized: str = "",
    steps: tuple[str, ...] = (),
) -> AccuracyReport:
    """Compare one reduced graph with fp32 on the same parts; see ``docs/explanations/verification.md``.

    Args:
        aupro: of the labelled test parts; None where it cannot be measured.
        quantized: which of the graph's operations are, for the report.
        steps: what was tried before, for the report.

    Raises:
        AccuracyError: with every limit that the graph does not hold.
    """
    report, moved, auroc = _report(graph, judged, reference, budget, aupro, quantized, steps)
    problems = [
        *_scores_over(moved, budget),
        *_flips_over(report, budget),
        *_ranking_over("part AUROC", "max_auroc_drop", auroc, budget.max_auroc_drop),
        *_ranking_over("AUPRO", "max_aupro_drop", aupro, budget.max_aupro_drop),
        *_maps_over(report, budget),
    ]
    if problems:
        raise AccuracyError(
            f"{graph} decides differently from fp32; export without it (export.precisions: [fp32]), or "
            "calibrate with more parts (export.calibration_parts)",
            problems=problems,
        )
    return report


def allowed_flips(parts: int, rate: float) -> int:
    """The most flips that a graph which changes verdicts at this rate shows in 95 % of samples; at least 1.

    The smallest k with P(X ≤ k) ≥ 0.95 for X ~ Binomial(parts, rate).
    """
    return max(1, int(binom.ppf(_CHANCE, parts, rate)))


def _report(
    graph: str,
    judged: Judged,
    reference: Judged,
    budget: ExportSpec,
    aupro: Loss | None,
    quantized: str,
    steps: tuple[str, ...],
) -> tuple[AccuracyReport, _Movement, Loss | None]:
    moved = _movement(judged.scaled, reference.scaled, reference.scored.held_out)
    near = rounding(reference.scale, budget.tolerance_fp32)
    flips = int(changed_verdicts(judged.scaled, reference.scaled, 1.0, near).sum())
    auroc = _auroc(judged.scored, reference.scored)
    correlation = float(spearmanr(judged.scored.parts, reference.scored.parts).statistic)
    report = AccuracyReport(
        graph=graph,
        quantized=quantized,
        steps=steps,
        parts=len(judged.scored.parts),
        verdict_flips=flips,
        flips_allowed=allowed_flips(len(judged.scored.parts), budget.max_flip_rate),
        rank_correlation=round(correlation, 6),
        part_auroc=part_auroc(judged.scored),
        part_auroc_reference=part_auroc(reference.scored),
        auroc_drop=None if auroc is None else auroc.drop,
        aupro=None if aupro is None else round(aupro.value, 6),
        aupro_reference=None if aupro is None else round(aupro.reference, 6),
        aupro_drop=None if aupro is None else aupro.drop,
        near_parts=moved.parts,
        near_threshold=moved.near,
        score_bias=round(moved.bias, 6),
        score_deviation=round(moved.deviation, 6),
        map_error=_map_error(judged, reference),
        unmeasured=_unmeasured(reference.scored, auroc, aupro),
    )
    return report, moved, auroc


def _movement(scores: FloatArray, reference: FloatArray, held_out: int) -> _Movement:
    low, high = NEAR
    near = ((scores > low) & (scores < high)) | ((reference > low) & (reference < high))
    enough = int(near.sum()) >= LEAST_NEAR
    if not enough:
        distance = np.minimum(np.abs(scores - 1.0), np.abs(reference - 1.0))
        near = np.zeros(len(scores), np.bool_)
        near[np.argsort(distance, kind="stable")[:LEAST_NEAR]] = True
    moved = np.asarray(scores - reference, np.float64)[near]
    deviation = float(moved.std(ddof=1)) if len(moved) > 1 else 0.0
    return _Movement(
        parts=len(moved),
        near=enough,
        bias=float(moved.mean()),
        deviation=deviation,
        chance=2 * deviation * _few(len(moved), reference[:held_out], deviation) ** 0.5,
    )


def _few(near: int, held_out: FloatArray, deviation: float) -> float:
    """Variance of the mean movement in units of a single part's.

    The near parts give theirs, where they are few. The threshold gives its own: it follows the held-out parts
    that score about as it does, often a single one, which moves like any other and takes all scaled scores
    along.

    Args:
        held_out: scaled scores of the parts that the thresholds are from; none where they are from elsewhere.
    """
    about = int((np.abs(held_out - 1.0) <= deviation).sum())
    return (0.0 if near >= ENOUGH else 1 / near) + (1 / max(1, about) if len(held_out) else 0.0)


def _auroc(scored: Scored, reference: Scored) -> Loss | None:
    (found, labels), (before, _) = scored.tested, reference.tested
    return None if labels is None else auroc_loss(found, before, labels)


def _map_error(judged: Judged, reference: Judged) -> float:
    """Median over the held-out normal parts, which are the first; over all where none are held out."""
    count = judged.scored.held_out or len(judged.counted)
    pairs = zip(judged.counted[:count], reference.counted[:count], strict=True)
    return float(np.median([relative_error(maps, expected) for maps, expected in pairs]))


def _unmeasured(reference: Scored, auroc: Loss | None, aupro: Loss | None) -> tuple[str, ...]:
    _, labels = reference.tested
    if auroc is None:
        return (f"AUROC and AUPRO are not judged: {_counted(labels)}, and either takes {LEAST_LABELLED}",)
    return () if aupro is not None else ("AUPRO is not judged: too few parts with masks of their defects",)


def _counted(labels: npt.NDArray[np.bool_] | None) -> str:
    if labels is None:
        return "no labelled parts"
    return f"{int((~labels).sum())} normal and {int(labels.sum())} defective labelled parts"


def _scores_over(moved: _Movement, budget: ExportSpec) -> list[str]:
    parts = f"{moved.parts} parts {'near' if moved.near else 'nearest to'} the threshold"
    problems = []
    # However few the parts are, their mean may not move by more than single ones may.
    chance = max(0.0, min(moved.chance, budget.max_score_deviation - budget.max_score_bias))
    if not abs(moved.bias) <= budget.max_score_bias + chance:
        few = f" and {chance:.3f} for so few parts" if moved.parts < ENOUGH or chance else ""
        problems.append(
            f"scaled scores of {parts} move by {moved.bias:+.3f}; allowed: export.max_score_bias "
            f"{budget.max_score_bias:g}{few}"
        )
    if not moved.deviation <= budget.max_score_deviation:
        problems.append(
            f"scaled scores of {parts} move with deviation {moved.deviation:.3f}; allowed: "
            f"export.max_score_deviation {budget.max_score_deviation:g}"
        )
    return problems


def _flips_over(report: AccuracyReport, budget: ExportSpec) -> list[str]:
    if report.flips_allowed is None or report.verdict_flips <= report.flips_allowed:
        return []
    return [
        f"{report.verdict_flips} of {report.parts} verdicts change, each graph by its own threshold; "
        f"allowed: {report.flips_allowed}, what export.max_flip_rate {budget.max_flip_rate:g} gives by chance"
    ]


def _ranking_over(what: str, key: str, loss: Loss | None, allowed: float) -> list[str]:
    """A loss counts where even the lower end of its interval is over the limit."""
    if loss is None or loss.drop.low <= allowed:
        return []
    return [
        f"{what} {loss.value:.4f}, in fp32 {loss.reference:.4f}, a drop of at least {loss.drop.low:.4f}; "
        f"allowed: export.{key} {allowed:g}"
    ]


def _maps_over(report: AccuracyReport, budget: ExportSpec) -> list[str]:
    if report.map_error is not None and report.map_error <= budget.tolerance_int8:
        return []
    return [
        f"maps differ from fp32's by {report.map_error:.2g} on the foreground (median), allowed "
        f"{budget.tolerance_int8:g} (export.tolerance_int8)"
    ]
