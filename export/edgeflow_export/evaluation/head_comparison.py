"""Two heads on the same features and test parts: figures with intervals, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from edgeflow.contracts.documents.document import Document
from edgeflow_export.evaluation.auroc import Floats
from edgeflow_export.evaluation.report import EvaluationReport

__all__ = ["FEW", "HeadComparison", "HeadFigures", "PairedAuroc", "compare_heads", "paired_auroc"]

Range = tuple[float, float]
"""Ends of a 95 % interval."""

FEW = 20
"""Parts of a kind below which an interval says too little."""
_DRAWS = 4000
_AT_ONCE = 500
_TAIL = 2.5  # percent on either side


class HeadFigures(Document):
    """One head's figures, the interval over its test parts."""

    model: str
    checkpoint: str
    part_auroc: float
    part_auroc_interval: Range
    view_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None
    recall: float | None = Field(description="share of defective parts rejected at the head's own threshold")
    false_reject_rate: float | None


class HeadComparison(Document):
    """Two heads trained on the same features of the same normal parts."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["edgeflow/heads/1"] = Field(default="edgeflow/heads/1", alias="schema")
    parts: int
    defective_parts: int
    heads: tuple[HeadFigures, HeadFigures]
    difference: float = Field(description="part AUROC of the first head less that of the second")
    difference_interval: Range = Field(description="of the difference, 95 %, from draws of the same parts")
    better: str | None = Field(description="the head that is better; none: it cannot be told")
    statement: str


class PairedAuroc(Document):
    """AUROC of two scores of the same parts, each with its interval."""

    figures: tuple[float, float]
    intervals: tuple[Range, Range]
    difference: float
    difference_interval: Range


def compare_heads(
    names: tuple[str, str], reports: tuple[EvaluationReport, EvaluationReport], *, seed: int = 0
) -> HeadComparison:
    """Two evaluations of the same test parts side by side.

    Args:
        names: of the heads.

    Raises:
        ValueError: reports on other numbers of parts.
    """
    first, second = reports
    normal = (first.normal_scores, second.normal_scores)
    defective = (first.defective_scores, second.defective_scores)
    paired = paired_auroc(*(np.asarray(scores, np.float64) for scores in (*normal, *defective)), seed=seed)
    better = _better(names, paired.difference_interval)
    return HeadComparison(
        parts=first.parts,
        defective_parts=first.defective_parts,
        heads=(
            _figures(names[0], first, paired.figures[0], paired.intervals[0]),
            _figures(names[1], second, paired.figures[1], paired.intervals[1]),
        ),
        difference=paired.difference,
        difference_interval=paired.difference_interval,
        better=better,
        statement=_statement(better, first.parts - first.defective_parts, first.defective_parts),
    )


def paired_auroc(
    normal_a: Floats, normal_b: Floats, defective_a: Floats, defective_b: Floats, *, seed: int = 0
) -> PairedAuroc:
    """AUROC by two scores, a and b, of the same parts; both see the same draws of the bootstrap.

    Normal and defective parts are drawn apart, so that every draw has as many of each as there are.

    Args:
        normal_a, normal_b: raw scores (n,) of the normal parts.
        defective_a, defective_b: raw scores (m,) of the defective parts.

    Raises:
        ValueError: other numbers of parts.
    """
    if normal_a.shape != normal_b.shape or defective_a.shape != defective_b.shape:
        raise ValueError("paired scores must be of the same parts")
    won = (_won(normal_a, defective_a), _won(normal_b, defective_b))
    generator = np.random.default_rng(seed)
    draws: list[npt.NDArray[np.float64]] = []
    m, n = won[0].shape
    for _ in range(_DRAWS // _AT_ONCE):
        rows = generator.multinomial(m, np.full(m, 1 / m), _AT_ONCE) / m
        columns = generator.multinomial(n, np.full(n, 1 / n), _AT_ONCE) / n
        draws.append(np.stack([np.einsum("dm,mn,dn->d", rows, w, columns, optimize=True) for w in won]))
    a, b = np.concatenate(draws, axis=1)
    figures = (float(won[0].mean()), float(won[1].mean()))
    return PairedAuroc(
        figures=figures,
        intervals=(_interval(a), _interval(b)),
        difference=figures[0] - figures[1],
        difference_interval=_interval(a - b),
    )


def _won(normal: Floats, defective: Floats) -> npt.NDArray[np.float64]:
    """Of every defective part against every normal one (m, n): 1 if it scores higher, ½ at a tie."""
    difference = defective[:, None] - normal[None, :]
    return np.asarray((difference > 0) + 0.5 * (difference == 0), np.float64)


def _interval(draws: npt.NDArray[np.float64]) -> Range:
    low, high = np.percentile(draws, [_TAIL, 100 - _TAIL])
    return (float(low), float(high))


def _better(names: Sequence[str], interval: Range) -> str | None:
    low, high = interval
    return names[0] if low > 0 else names[1] if high < 0 else None


def _statement(better: str | None, normal: int, defective: int) -> str:
    told = (
        "These parts cannot tell which of them is better: the interval of the difference holds 0."
        if better is None
        else f"{better} ranks defective parts better; the interval of the difference does not hold 0."
    )
    few = min(normal, defective) < FEW
    return f"{told} With fewer than {FEW} parts of a kind, intervals are too narrow." if few else told


def _figures(name: str, report: EvaluationReport, auroc: float, interval: Range) -> HeadFigures:
    return HeadFigures(
        model=name,
        checkpoint=report.model.checkpoint,
        part_auroc=auroc,
        part_auroc_interval=interval,
        view_auroc=report.view_auroc,
        pixel_auroc=report.pixel_auroc,
        aupro=report.aupro,
        recall=report.recall,
        false_reject_rate=report.false_reject_rate,
    )
