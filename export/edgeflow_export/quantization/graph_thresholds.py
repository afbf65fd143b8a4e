"""Thresholds of one graph from its own scores of the held-out normal parts."""

from __future__ import annotations

from collections.abc import Mapping

from edgeflow.calibration.thresholds import calibrate
from edgeflow.contracts.manifest import Thresholds
from edgeflow.contracts.scoring import FloatArray
from edgeflow_export.conversion.job import ExportJob
from edgeflow_export.quantization.accuracy_guard import Scored

__all__ = ["graph_thresholds"]


def graph_thresholds(
    job: ExportJob, scored: Scored, subsets: Mapping[tuple[str, ...], FloatArray] | None = None
) -> Thresholds:
    """The thresholds that a graph with these scores is judged by; labelled test parts add the rates.

    Args:
        subsets: present views → (n,) part scores of the held-out normal parts from these alone.

    Raises:
        DataError: scores that are not finite, or all equal.
    """
    spec, normal, labels = job.model.recipe.thresholds, len(job.data.validation), scored.defective
    tested = None if labels is None else ~labels[normal:]
    return calibrate(
        scored.parts[:normal],
        scored.views[:normal],
        job.model.views,
        spec.false_reject_rate,
        method=spec.method,
        subsets=subsets,
        defective=scored.parts[labels] if labels is not None and labels.any() else None,
        normal=None if tested is None or not tested.any() else scored.parts[normal:][tested],
        tolerance=job.spec.tolerance_fp32 * job.model.scoring().sensitivity,
    )
