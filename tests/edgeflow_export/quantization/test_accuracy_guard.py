"""Scores of a graph, and the golden parts that are chosen by them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.manifest import Scale
from edgeflow_export.bundling.golden_parts import GraphScores, choose_golden
from edgeflow_export.quantization.accuracy_guard import Scored, part_auroc

SCALE = Scale(centre=0.0, threshold=1.0)


def scored(parts: list[float], defective: list[bool] | None = None) -> Scored:
    array: npt.NDArray[np.float32] = np.array(parts, np.float32)
    labels = None if defective is None else np.array(defective)
    return Scored(
        maps=array[:, None, None, None], masks=None, views=array[:, None], parts=array, defective=labels
    )


def test_auroc_needs_both_kinds_of_parts() -> None:
    assert part_auroc(scored([1, 2], None)) is None
    assert part_auroc(scored([1, 2], [True, True])) is None


def golden(*graphs: list[float], count: int, tolerance: float = 0.001) -> list[int]:
    scores = [
        GraphScores(
            parts=np.array(parts, np.float32),
            tolerances=np.full(len(parts), tolerance, np.float32),
            scale=SCALE,
        )
        for parts in graphs
    ]
    return choose_golden(scores, count)


def test_golden_parts_are_clear_cases_of_both_verdicts() -> None:
    scores = [0.2, 0.9, 1.1, 5.0, 0.3]
    assert golden(scores, count=2) == [0, 3]
    assert sorted(golden(scores, count=10)) == [0, 1, 2, 3, 4]
    assert golden([0.1, 0.2], count=2) == [0, 1]


def test_golden_parts_keep_a_distance_from_the_threshold() -> None:
    assert golden([0.5, 1.0], count=2) == [0]
    assert golden([0.5, 0.96, 1.04, 1.06], count=4) == [0, 3]
    assert golden([0.5, 0.7], count=2, tolerance=0.3) == [0]


def test_part_that_one_graph_judges_otherwise_is_no_golden_part() -> None:
    assert golden([0.1, 0.8, 3.0], [0.1, 1.2, 0.5], count=3) == [0]


def test_bundle_without_a_clear_part_carries_the_clearest() -> None:
    assert golden([0.98, 0.99, 1.2], [0.98, 0.97, 0.4], count=2) == [0]


def test_golden_parts_are_judged_by_each_graph_on_its_own_scale() -> None:
    """The second graph gives three times the scores, and its threshold is three times as high."""
    tolerances = np.full(3, 0.001, np.float32)
    parts = np.array([0.2, 0.9, 2.0], np.float32)
    graphs = [
        GraphScores(parts=parts * factor, tolerances=tolerances, scale=Scale(centre=0, threshold=factor))
        for factor in (1.0, 3.0)
    ]
    assert choose_golden(graphs, 3) == [0, 2, 1]
    graphs[1] = GraphScores(parts=parts * 3, tolerances=tolerances, scale=SCALE)
    assert choose_golden(graphs, 3) == [0, 2]  # by the first one's threshold it would reject 0.9 * 3, too
