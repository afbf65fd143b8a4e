"""Several evaluations side by side: per class with their mean, or one graph against another."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field

from edgeflow.contracts.documents.document import Document
from edgeflow_export.evaluation.report import EvaluationReport

__all__ = ["FIGURES", "LEGEND", "Comparison", "Group", "Row", "compare_reports"]

FIGURES = {"S": "part_auroc", "I": "view_auroc", "P": "pixel_auroc", "AUPRO": "aupro"}
"""The paper's names of the report's figures."""
LEGEND = (
    "AUROC of parts (S; defective if any view is), of view images (I) and of pixels (P); AUPRO: mean overlap "
    "of defect regions, to 30 % false positives"
)


class Row(Document):
    """The paper's figures of one checkpoint, or their mean over several."""

    name: str
    part_auroc: float | None
    view_auroc: float | None
    pixel_auroc: float | None
    aupro: float | None


class Group(Document):
    """Rows that are averaged; ``graph`` where there is a group for each."""

    graph: str | None
    rows: tuple[Row, ...]
    mean: Row


class Comparison(Document):
    """Evaluations of several checkpoints."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    schema_: Literal["edgeflow/evaluations/1"] = Field(default="edgeflow/evaluations/1", alias="schema")
    groups: tuple[Group, ...]
    reports: tuple[EvaluationReport, ...]
    failures: dict[str, str] = Field(
        default_factory=dict, description="checkpoints without a report, and why"
    )


def compare_reports(reports: Sequence[EvaluationReport]) -> Comparison:
    """Rows with distinct names, averaged.

    Several classes under several graphs are averaged per graph, as an ablation needs it.
    """
    rows = [_row(name, report) for name, report in zip(_names(reports), reports, strict=True)]
    graphs = list(dict.fromkeys(report.model.graph for report in reports))
    if len(graphs) == 1 or len({_product(report) for report in reports}) == 1:
        groups = [_group(None, rows)] if rows else []
    else:
        groups = [
            _group(
                graph,
                [row for row, report in zip(rows, reports, strict=True) if report.model.graph == graph],
            )
            for graph in graphs
        ]
    return Comparison(groups=tuple(groups), reports=tuple(reports))


def _row(name: str, report: EvaluationReport) -> Row:
    figures = {figure: getattr(report, figure) for figure in FIGURES.values()}
    return Row.model_validate({"name": name, **figures})


def _group(graph: str | None, rows: Sequence[Row]) -> Group:
    def mean(figure: str) -> float | None:
        """A mean over some of the rows would not be comparable: none where a figure is missing."""
        values = [getattr(row, figure) for row in rows]
        return None if None in values else sum(values) / len(values)

    figures = {figure: mean(figure) for figure in FIGURES.values()}
    return Group(graph=graph, rows=tuple(rows), mean=Row.model_validate({"name": "mean", **figures}))


def _names(reports: Sequence[EvaluationReport]) -> tuple[str, ...]:
    """Return names that distinguish the reports: the graph, the class, the recipe, or at last the folder."""
    for names in _candidates(reports):
        if len(set(names)) == len(reports):
            return names
    return tuple(report.model.checkpoint for report in reports)


def _candidates(reports: Sequence[EvaluationReport]) -> Iterator[tuple[str, ...]]:
    products = tuple(_product(report) for report in reports)
    graphs = tuple(report.model.graph for report in reports)
    if len(set(products)) == 1:
        yield graphs
    yield products
    yield tuple(report.model.name for report in reports)
    yield tuple(f"{product} {graph}" for product, graph in zip(products, graphs, strict=True))
    folders = [str(Path(report.model.checkpoint).resolve().parent) for report in reports]
    base = os.path.commonpath(folders) if folders else ""
    yield tuple(str(Path(folder).relative_to(base)) for folder in folders)


def _product(report: EvaluationReport) -> str:
    return report.model.class_name or report.model.name
