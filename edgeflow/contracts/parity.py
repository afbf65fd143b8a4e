"""Difference between two computations of the same anomaly maps, and what a bundle reports of it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from pydantic import Field

from edgeflow.contracts.documents.document import Document
from edgeflow.contracts.thresholds import Count, Interval, Positive

__all__ = ["FOR_SCALE", "AccuracyReport", "StageParity", "relative_error"]

FOR_SCALE = (
    "for scale: on rendered parts another training seed alone moves maps by 0.31 and turns 9 of 198 verdicts"
)
"""Stands beside the figures of a reduced graph, for readers."""


class AccuracyReport(Document):
    """Effect of one reduced graph on scores and verdicts, against fp32; each graph on its own scale.

    Fields with None are not known: bundles made before 1.5 lack them, and some need labelled parts.
    """

    graph: str
    parts: Positive
    verdict_flips: Count = Field(
        description="verdicts that differ, each graph by its own threshold; before 1.5 both by fp32's"
    )
    rank_correlation: float = Field(description="of part scores; for information")
    part_auroc: float | None = None
    part_auroc_reference: float | None = None
    quantized: str = Field(default="", description="which operations are in int8; the others stay in float")
    steps: tuple[str, ...] = Field(default=(), description="what was tried before, and why it was given up")
    flips_allowed: Count | None = Field(default=None, description="by the binomial bound on verdict_flips")
    near_parts: Count | None = Field(
        default=None, description="parts that score_bias and score_deviation come from"
    )
    near_threshold: bool | None = Field(
        default=None,
        description="true: they score between 0.8 and 1.25 by either graph; false: too few do, so that "
        "these are the nearest ones",
    )
    score_bias: float | None = Field(default=None, description="mean difference of scaled scores")
    score_deviation: float | None = Field(default=None, description="its standard deviation")
    map_error: float | None = Field(
        default=None, description="median relative map error of the held-out parts, on the foreground"
    )
    auroc_drop: Interval | None = Field(
        default=None, description="loss of part AUROC, by a bootstrap over the labelled parts"
    )
    aupro: float | None = Field(default=None, description="up to a false-positive rate of 0.3")
    aupro_reference: float | None = None
    aupro_drop: Interval | None = Field(default=None, description="loss of AUPRO, by the same bootstrap")
    unmeasured: tuple[str, ...] = Field(
        default=(), description="budgets that could not be measured on these parts, and why"
    )

    @property
    def sentences(self) -> tuple[str, ...]:
        """The figures in words; fewer for bundles made before 1.5."""
        if self.near_parts is None or self.score_bias is None or self.score_deviation is None:
            return ()
        where = "near the threshold" if self.near_threshold else "nearest to the threshold"
        found = [
            f"scaled scores of {self.near_parts} parts {where} move by {self.score_bias:+.3f}, "
            f"deviation {self.score_deviation:.3f}",
            f"{self.verdict_flips} of {self.parts} verdicts differ, each graph by its own threshold"
            + ("" if self.flips_allowed is None else f"; {self.flips_allowed} are within chance"),
        ]
        if self.map_error is not None:
            found.append(f"maps differ by {self.map_error:.2g} on the foreground (median)")
        for name, drop in (("part AUROC", self.auroc_drop), ("AUPRO", self.aupro_drop)):
            if drop is not None and drop.high is not None:
                found.append(f"{name} falls by {drop.low:+.4f} to {drop.high:+.4f} (95 %)")
        return (*found, *self.unmeasured)


class StageParity(Document):
    """One stage on the way to the graphs, against the trained model; it was refused over its tolerance."""

    stage: str
    measured_error: float = Field(ge=0, description="largest relative map error")
    tolerance: float = Field(gt=0)


def relative_error(maps: npt.NDArray[np.float32], reference: npt.NDArray[np.float32]) -> float:
    """Largest deviation over the largest reference value, max|a-b| / max|b|; infinite for any non-finite map.

    Args:
        maps, reference: float32, same shape; another shape is infinitely far away.
    """
    if maps.shape != reference.shape or not np.isfinite(maps).all():
        return float("inf")
    return float(np.abs(maps - reference).max() / max(float(np.abs(reference).max()), 1e-12))
