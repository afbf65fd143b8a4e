"""Pictures of an evaluation: the scores of normal and defective parts, and the ROC curve."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from edgeflow.errors import DataError, StorageError
from edgeflow_export.evaluation import EvaluationReport

__all__ = ["save_plots"]

_NORMAL, _DEFECTIVE = "#2f6f9f", "#c8502d"


def save_plots(report: EvaluationReport, folder: Path) -> tuple[Path, Path]:
    """Write ``scores.png`` and ``roc.png``.

    Raises:
        DataError: the report has no normal or no defective parts.
        StorageError: the folder cannot be written.
    """
    if not report.normal_scores or not report.defective_scores:
        raise DataError("a picture of an evaluation needs normal and defective parts")
    paths = folder / "scores.png", folder / "roc.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _histogram(report).savefig(paths[0], dpi=120)
        _roc(report).savefig(paths[1], dpi=120)
    except OSError as cause:
        raise StorageError(
            f"{folder}: pictures cannot be written: {cause}; check space and rights"
        ) from cause
    return paths


def _histogram(report: EvaluationReport) -> Figure:
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.add_subplot()
    everything = np.array([*report.normal_scores, *report.defective_scores])
    # A few extreme defects would squeeze all the others into one bar.
    low, high = float(everything.min()), float(np.quantile(everything, 0.98))
    bins = np.linspace(low, high, 40)
    for scores, colour, name in (
        (report.normal_scores, _NORMAL, "normal"),
        (report.defective_scores, _DEFECTIVE, "defective"),
    ):
        axes.hist(np.clip(scores, low, high), bins=list(bins), color=colour, alpha=0.65, label=name)
    if report.threshold is not None:
        axes.axvline(report.threshold, color="black", linestyle="--", linewidth=1, label="threshold")
    axes.set_xlabel("part score (raw)")
    axes.set_ylabel("parts")
    axes.legend(frameon=False)
    return figure


def _roc(report: EvaluationReport) -> Figure:
    labels = [0] * len(report.normal_scores) + [1] * len(report.defective_scores)
    false, true, _ = roc_curve(labels, [*report.normal_scores, *report.defective_scores])
    figure = Figure(figsize=(4, 4), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(false, true, color=_DEFECTIVE, label=f"parts, AUROC {report.part_auroc or 0:.3f}")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=0.8, linestyle=":")
    axes.set_xlabel("normal parts rejected")
    axes.set_ylabel("defective parts rejected")
    axes.legend(frameon=False, loc="lower right")
    return figure
