"""Several reports side by side: names that tell them apart, and means that mean something."""

from __future__ import annotations

import pytest

from edgeflow_export.evaluation.comparison import Comparison, compare_reports
from edgeflow_export.evaluation.report import EvaluationReport
from tests.support.evaluations import hand_made, identity, report_on


def report(
    part_auroc: float | None = None,
    *,
    name: str = "disc",
    class_name: str | None = None,
    graph: str = "cs_neigh",
    folder: str = "run",
) -> EvaluationReport:
    model = identity(name=name, class_name=class_name, graph=graph, folder=folder)
    found = report_on(*hand_made(), model=model)
    return found.model_copy(update={"part_auroc": part_auroc}) if part_auroc is not None else found


def names(*reports: EvaluationReport) -> list[str]:
    return [row.name for group in compare_reports(reports).groups for row in group.rows]


def test_models_that_differ_only_by_graph_are_named_by_it() -> None:
    assert names(report(graph="cs_neigh"), report(graph="cs_top")) == ["cs_neigh", "cs_top"]


def test_classes_are_named_by_class_then_by_recipe() -> None:
    assert names(report(class_name="tape"), report(class_name="toy")) == ["tape", "toy"]
    assert names(report(name="left"), report(name="right")) == ["left", "right"]


def test_runs_of_one_recipe_are_named_by_their_folders() -> None:
    assert names(report(folder="runs/a/seed1"), report(folder="runs/b/seed1")) == ["a/seed1", "b/seed1"]


def test_classes_are_averaged() -> None:
    (group,) = compare_reports([report(0.9, name="a"), report(0.7, name="b")]).groups
    assert group.graph is None
    assert group.mean.part_auroc == pytest.approx(0.8)
    assert group.mean.pixel_auroc == pytest.approx(group.rows[0].pixel_auroc)


def test_classes_under_several_graphs_are_averaged_per_graph() -> None:
    reports = [
        report(value, name=name, graph=graph)
        for value, name, graph in (
            (0.9, "a", "cs_neigh"),
            (0.5, "a", "cs_top"),
            (0.7, "b", "cs_neigh"),
            (0.6, "b", "cs_top"),
        )
    ]
    neighbours, top = compare_reports(reports).groups
    assert (neighbours.graph, top.graph) == ("cs_neigh", "cs_top")
    assert [row.name for row in neighbours.rows] == ["a cs_neigh", "b cs_neigh"]
    assert neighbours.mean.part_auroc == pytest.approx(0.8)
    assert top.mean.part_auroc == pytest.approx(0.55)


def test_figure_that_one_row_lacks_has_no_mean() -> None:
    lacking = report(name="b").model_copy(update={"aupro": None})
    (group,) = compare_reports([report(name="a"), lacking]).groups
    assert group.mean.aupro is None
    assert group.mean.view_auroc is not None


def test_comparison_survives_json() -> None:
    comparison = compare_reports([report(name="a"), report(name="b")])
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison
