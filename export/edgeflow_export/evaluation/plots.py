"""Plots of an evaluation: the scores of normal and defective parts, and the ROC curve."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import roc_curve

from edgeflow_export.evaluation.report import EvaluationReport

__all__ = ["roc_png", "scores_png"]

_NORMAL, _DEFECTIVE = "#2f6f9f", "#c8502d"


def scores_png(report: EvaluationReport) -> bytes:
    """A histogram of part scores with the threshold."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    everything = np.array([*report.normal_scores, *report.defective_scores])
    # A few extreme defects would squeeze all the others into one bar.
    low, high = float(everything.min()), float(np.quantile(everything, 0.98))
    if report.thresholds is not None:
        high = max(high, report.thresholds.part.threshold)
    bins = np.linspace(low, high if high > low else low + 1, int(np.clip(len(everything) / 3, 10, 60)))
    for scores, colour, name in (
        (report.normal_scores, _NORMAL, "normal"),
        (report.defective_scores, _DEFECTIVE, "defective"),
    ):
        clipped = np.clip(scores, bins[0], bins[-1])
        axes.hist(clipped, bins=list(bins), color=colour, alpha=0.65, label=f"{len(scores)} {name}")
    if report.thresholds is not None:
        threshold = report.thresholds.part.threshold
        axes.axvline(
            threshold, color="black", linestyle="--", linewidth=1, label=f"threshold {threshold:.4g}"
        )
    beyond = int((everything > bins[-1]).sum())
    axes.set_xlabel("part score (raw)" + (f"; last bar: {beyond} beyond" if beyond else ""))
    axes.set_ylabel("parts")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return _png(figure)


def roc_png(report: EvaluationReport) -> bytes:
    """The ROC curve over parts, with the point at which the threshold works."""
    labels = [0] * len(report.normal_scores) + [1] * len(report.defective_scores)
    false, true, _ = roc_curve(labels, [*report.normal_scores, *report.defective_scores])
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(false, true, color=_DEFECTIVE, label=f"parts, AUROC {report.part_auroc or 0:.3f}")
    if report.recall is not None and report.false_reject_rate is not None:
        axes.plot(report.false_reject_rate, report.recall, "o", color="black", label="at the threshold")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlabel("normal parts rejected")
    axes.set_ylabel("defective parts rejected")
    axes.set_aspect("equal")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    return _png(figure)


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=120, format="png")
    return buffer.getvalue()
