"""The verdict-level guard of quantized graphs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.contracts.manifest import Scale
from edgeflow.errors import AccuracyError
from edgeflow_export.bundling.golden_parts import GraphScores, choose_golden
from edgeflow_export.quantization.accuracy_guard import Scored, compare, part_auroc
from edgeflow_export.recipe import ExportSpec

SCALE = Scale(centre=0.0, threshold=1.0)


def scored(parts: list[float], defective: list[bool] | None = None) -> Scored:
    array: npt.NDArray[np.float32] = np.array(parts, np.float32)
    labels = None if defective is None else np.array(defective)
    return Scored(
        maps=array[:, None, None, None], masks=None, views=array[:, None], parts=array, defective=labels
    )


def test_same_scores_pass_with_auroc_where_there_are_labels() -> None:
    same = scored([0.1, 0.5, 2.0, 0.4], [False, False, True, True])
    report = compare("openvino-int8", same, SCALE, same, SCALE, ExportSpec())
    assert report.verdict_flips == 0
    assert report.rank_correlation == 1.0
    assert report.part_auroc == report.part_auroc_reference == 0.75


def test_flipped_verdicts_over_the_budget_are_refused_with_the_number() -> None:
    reference = scored([0.1, 0.5, 0.95, 0.99, 2.0])
    moved = scored([0.1, 0.5, 1.05, 1.1, 2.0])
    with pytest.raises(AccuracyError, match="decides differently") as caught:
        compare("openvino-int8", moved, SCALE, reference, SCALE, ExportSpec(max_flip_rate=0.2))
    assert caught.value.exit_code == 4
    assert caught.value.problems[0].startswith("2 of 5 verdicts change")
    assert compare("g", moved, SCALE, reference, SCALE, ExportSpec(max_flip_rate=0.4)).verdict_flips == 2


def test_scrambled_ranks_are_refused_without_a_single_flip() -> None:
    reference = scored([0.1, 0.2, 0.3, 0.4, 0.5])
    with pytest.raises(AccuracyError, match="decides differently") as caught:
        compare("g", scored([0.5, 0.1, 0.4, 0.2, 0.3]), SCALE, reference, SCALE, ExportSpec())
    assert "rank correlation" in caught.value.problems[0]


def test_lost_auroc_is_refused_where_parts_are_labelled() -> None:
    labels = [False] * 20 + [True] * 20
    reference = scored([0.001 * n for n in range(40)], labels)
    # Two defective parts fall among the normal ones: 20 of 400 pairs change places.
    fallen = reference.parts.copy()
    fallen[[20, 21]] = [0.0095, 0.0096]
    moved = scored(fallen.tolist(), labels)
    loose = ExportSpec(min_rank_correlation=0.5, max_auroc_drop=0.06)
    assert compare("g", moved, SCALE, reference, SCALE, loose).part_auroc == pytest.approx(0.95)
    with pytest.raises(AccuracyError, match="decides differently") as caught:
        compare("g", moved, SCALE, reference, SCALE, ExportSpec(min_rank_correlation=0.5))
    assert caught.value.problems == (
        "part AUROC 0.9500, in fp32 1.0000; allowed: export.max_auroc_drop 0.002",
    )


def test_one_pair_that_changes_places_is_within_any_auroc_budget() -> None:
    labels = [False, False, False, True, True]
    reference, moved = scored([1, 2, 3, 4, 5], labels), scored([1, 2, 4, 3, 5], labels)
    budget = ExportSpec(min_rank_correlation=0.5, max_auroc_drop=0)
    high = Scale(centre=0, threshold=9)
    assert compare("g", moved, high, reference, high, budget).part_auroc == 0.833333


def test_auroc_needs_both_kinds_of_parts() -> None:
    assert part_auroc(scored([1, 2], None)) is None
    assert part_auroc(scored([1, 2], [True, True])) is None


def test_part_that_rounding_can_judge_either_way_is_no_flip() -> None:
    reference = scored([0.1, 0.2, 0.5, 0.99995, 1.00005, 2.0])
    moved = scored([0.1, 0.2, 0.5, 1.01, 0.98, 2.1])
    loose = ExportSpec(min_rank_correlation=0.5)
    assert compare("g", moved, SCALE, reference, SCALE, loose).verdict_flips == 0
    strict = loose.model_copy(update={"tolerance_fp32": 1e-6, "max_flip_rate": 0.5})
    assert compare("g", moved, SCALE, reference, SCALE, strict).verdict_flips == 2


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
