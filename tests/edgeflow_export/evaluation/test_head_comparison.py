"""Two heads on the same parts: paired intervals, and no more said than the parts tell."""

from __future__ import annotations

import numpy as np
import pytest

from edgeflow_export.evaluation.auroc import auroc
from edgeflow_export.evaluation.head_comparison import HeadComparison, compare_heads, paired_auroc
from edgeflow_export.evaluation.report import EvaluationReport
from tests.support.evaluations import hand_made, identity, report_on

NAMES = ("multi_flow", "patch_memory")


def scores(seed: int, shift: float, normal: int = 60, defective: int = 50) -> tuple[np.ndarray, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw.normal(size=normal), draw.normal(shift, size=defective)


def test_figures_are_the_auroc_of_each_and_intervals_hold_them() -> None:
    (na, da), (nb, db) = scores(1, 1.0), scores(2, 1.2)
    paired = paired_auroc(na, nb, da, db)
    for normal, defective, figure, (low, high) in zip(
        (na, nb), (da, db), paired.figures, paired.intervals, strict=True
    ):
        labels = np.r_[np.zeros(len(normal), bool), np.ones(len(defective), bool)]
        assert figure == pytest.approx(auroc(np.r_[normal, defective], labels))
        assert low < figure < high
    assert paired.difference == pytest.approx(paired.figures[0] - paired.figures[1])


def test_interval_is_as_wide_as_the_formula_for_large_samples_says() -> None:
    normal, defective = scores(3, 1.0, 400, 400)
    low, high = paired_auroc(normal, normal, defective, defective).intervals[0]
    won = (defective[:, None] > normal[None, :]).mean(1), (defective[:, None] > normal[None, :]).mean(0)
    deviation = np.sqrt(won[0].var() / 400 + won[1].var() / 400)  # DeLong
    assert (high - low) / (2 * 1.96 * deviation) == pytest.approx(1, abs=0.1)


def test_pairing_cancels_what_both_scores_share() -> None:
    normal, defective = scores(4, 1.0)
    paired = paired_auroc(normal, normal + 1e-9, defective, defective + 1e-9)
    assert paired.difference_interval == (0.0, 0.0)
    assert paired.intervals[0][1] - paired.intervals[0][0] > 0.05


def report(normal: np.ndarray, defective: np.ndarray) -> EvaluationReport:
    made = report_on(*hand_made(), model=identity())
    return made.model_copy(
        update={
            "parts": len(normal) + len(defective),
            "defective_parts": len(defective),
            "normal_scores": tuple(map(float, normal)),
            "defective_scores": tuple(map(float, defective)),
        }
    )


def test_the_better_is_named_only_where_the_parts_tell() -> None:
    normal, defective = scores(5, 0.5)
    better = report(normal, defective + 3)
    worse = report(normal, defective)
    assert compare_heads(NAMES, (better, worse)).better == "multi_flow"
    assert compare_heads(NAMES, (worse, better)).better == "patch_memory"
    same = compare_heads(NAMES, (worse, worse))
    assert same.better is None
    assert "cannot tell" in same.statement
    assert "too narrow" not in same.statement
    few = compare_heads(NAMES, (report(normal[:6], defective), report(normal[:6], defective)))
    assert "fewer than 20 parts of a kind, intervals are too narrow" in few.statement


def test_comparison_survives_json() -> None:
    found = compare_heads(NAMES, (report(*scores(6, 1.0)), report(*scores(7, 1.0))))
    assert HeadComparison.model_validate_json(found.model_dump_json()) == found


def test_scores_of_other_parts_are_refused() -> None:
    normal, defective = scores(8, 1.0)
    with pytest.raises(ValueError, match="same parts"):
        paired_auroc(normal, normal[1:], defective, defective)
