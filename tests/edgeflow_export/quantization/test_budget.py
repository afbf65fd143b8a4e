"""The budget of reduced graphs: scores near the threshold, verdicts, ranking and maps, by chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from edgeflow.contracts.manifest import Interval, Scale
from edgeflow.errors import AccuracyError
from edgeflow_export.quantization.accuracy_guard import Scored
from edgeflow_export.quantization.budget import Judged, allowed_flips, hold_budget
from edgeflow_export.quantization.ranking_loss import Loss
from edgeflow_export.recipe import ExportSpec

SCALE = Scale(centre=0.0, threshold=1.0)
SPEC = ExportSpec()
SPREAD = np.linspace(0.5, 1.5, 201).astype(np.float32)
"""Scores of 201 parts, 90 of them near the threshold."""


def judged(
    parts: npt.NDArray[np.float32],
    labels: list[bool] | None = None,
    scale: Scale = SCALE,
    held_out: int = 0,
) -> Judged:
    maps = np.ones((len(parts), 1, 2, 2), np.float32)
    scored = Scored(
        maps=maps,
        masks=None,
        views=parts[:, None],
        parts=parts.astype(np.float32),
        defective=None if labels is None else np.array(labels),
        held_out=held_out,
    )
    return Judged(scored=scored, scale=scale, counted=maps)


def moved(by: npt.NDArray[np.float64] | float) -> Judged:
    return judged(np.asarray(SPREAD + by, np.float32))


def problems(found: Judged, reference: Judged, spec: ExportSpec = SPEC, **more: Loss) -> tuple[str, ...]:
    with pytest.raises(AccuracyError, match="decides differently from fp32") as caught:
        hold_budget("openvino-int8", found, reference, spec, **more)
    assert caught.value.exit_code == 4
    return tuple(caught.value.problems)


def noise(deviation: float) -> npt.NDArray[np.float64]:
    found = np.random.default_rng(1).normal(0.0, 1.0, len(SPREAD))
    near = (SPREAD > 0.8) & (SPREAD < 1.25)
    found[near] -= found[near].mean()
    return np.asarray(found * deviation / found[near].std())


def test_graph_with_the_same_scores_holds_every_budget() -> None:
    report = hold_budget("openvino-int8", moved(0.0), moved(0.0), SPEC)
    assert (report.verdict_flips, report.score_bias, report.score_deviation, report.map_error) == (0, 0, 0, 0)
    assert (report.near_parts, report.near_threshold) == (90, True)
    assert report.flips_allowed == 3  # P(X ≤ 3) = 0.981 for 201 parts at 0.005
    assert report.unmeasured == ("AUROC and AUPRO are not judged: no labelled parts, and either takes 5",)


@pytest.mark.parametrize(("bias", "held"), [(0.019, True), (-0.019, True), (0.021, False), (-0.021, False)])
def test_scores_near_the_threshold_may_move_by_two_hundredths_on_average(bias: float, held: bool) -> None:
    loose = SPEC.model_copy(update={"max_flip_rate": 1.0})
    if held:
        assert hold_budget("g", moved(bias), moved(0.0), loose).score_bias == pytest.approx(bias, abs=1e-3)
        return
    (problem,) = problems(moved(bias), moved(0.0), loose)
    assert problem.startswith("scaled scores of 9")
    assert "export.max_score_bias 0.02" in problem


@pytest.mark.parametrize(("deviation", "held"), [(0.08, True), (0.13, False)])
def test_their_movements_may_deviate_by_a_tenth(deviation: float, held: bool) -> None:
    loose = SPEC.model_copy(update={"max_flip_rate": 1.0, "max_score_bias": 1.0})
    if held:
        hold_budget("g", moved(noise(deviation)), moved(0.0), loose)
        return
    (problem,) = problems(moved(noise(deviation)), moved(0.0), loose)
    assert "export.max_score_deviation 0.1" in problem


def test_graph_on_another_scale_of_its_own_decides_alike() -> None:
    other = judged(SPREAD * np.float32(3) + np.float32(7), scale=Scale(centre=7.0, threshold=10.0))
    report = hold_budget("g", other, moved(0.0), SPEC)
    assert report.verdict_flips == 0
    assert report.score_bias == pytest.approx(0.0, abs=1e-6)


def test_flips_are_allowed_as_far_as_chance_reaches() -> None:
    assert [allowed_flips(parts, 0.005) for parts in (8, 24, 201, 480)] == [1, 1, 3, 5]
    scores = SPREAD.copy()
    under = np.flatnonzero(scores <= 1.0)[-5:]
    loose = SPEC.model_copy(update={"max_score_bias": 1.0, "max_score_deviation": 1.0})
    for count in (3, 4):
        changed = scores.copy()
        changed[under[-1 - count : -1]] = 1.01
        if count == 3:
            assert hold_budget("g", judged(changed), moved(0.0), loose).verdict_flips == 3
            continue
        (problem,) = problems(judged(changed), moved(0.0), loose)
        assert problem == (
            "4 of 201 verdicts change, each graph by its own threshold; allowed: 3, what "
            "export.max_flip_rate 0.005 gives by chance"
        )


def test_part_that_rounding_can_judge_either_way_is_no_flip() -> None:
    reference = np.array([0.1, 0.2, 0.5, 0.99995, 1.00005, 2.0], np.float32)
    found = np.array([0.1, 0.2, 0.5, 1.01, 0.98, 2.0], np.float32)
    assert hold_budget("g", judged(found), judged(reference), SPEC).verdict_flips == 0
    strict = SPEC.model_copy(update={"tolerance_fp32": 1e-6, "max_flip_rate": 0.5})
    assert hold_budget("g", judged(found), judged(reference), strict).verdict_flips == 2


def test_of_too_few_parts_near_the_threshold_the_nearest_count_and_the_report_says_so() -> None:
    reference = np.array([0.1, 0.2, 0.3, 0.4, 0.9, 3.0, 4.0, 5.0], np.float32)
    report = hold_budget("g", judged(reference + np.float32(0.01)), judged(reference), SPEC)
    assert (report.near_parts, report.near_threshold) == (8, False)
    assert any("8 parts nearest to the threshold" in sentence for sentence in report.sentences)
    shifted = judged(reference + np.float32(0.05))
    (problem,) = problems(shifted, judged(reference))  # nothing but a shift: chance explains none of it
    assert "export.max_score_bias 0.02 and 0.000 for so few parts" in problem


def test_mean_of_a_dozen_near_parts_may_be_off_by_chance() -> None:
    reference = np.linspace(0.85, 1.2, 12).astype(np.float32)
    wobble = np.tile([-0.05, 0.05], 6)
    loose = SPEC.model_copy(update={"max_flip_rate": 1.0})
    report = hold_budget(
        "g", judged(np.asarray(reference + wobble + 0.03, np.float32)), judged(reference), loose
    )
    assert report.near_threshold is True
    assert report.score_bias == pytest.approx(0.03, abs=1e-4)
    (problem,) = problems(judged(np.asarray(reference + wobble + 0.06, np.float32)), judged(reference), loose)
    assert "export.max_score_bias 0.02 and 0.030 for so few parts" in problem


def refused(seed: int, held_out: int, wobble: float, shift: float) -> bool:
    """True if a graph is refused for its bias: all scores wobble, defective parts' move by ``shift``."""
    rng = np.random.default_rng(seed)
    normal, defective = 0.2 * rng.standard_exponential(held_out), rng.uniform(0.5, 1.5, 60)
    reference = np.concatenate([normal, defective])
    found = (
        reference + rng.normal(0, wobble, len(reference)) + shift * (np.arange(len(reference)) >= held_out)
    )
    graphs = [
        judged(
            scores.astype(np.float32),
            scale=Scale(centre=float(np.median(scores[:held_out])), threshold=float(scores[:held_out].max())),
            held_out=held_out,
        )
        for scores in (found, reference)
    ]
    try:
        hold_budget("g", *graphs, SPEC.model_copy(update={"max_flip_rate": 1.0}))
    except AccuracyError as cause:
        return any("max_score_bias" in problem for problem in cause.problems)
    return False


def test_the_part_that_sets_the_threshold_may_move_like_any_other() -> None:
    """Thresholds from 38 parts are the score of one; where nothing but that one moves, chance explains it."""
    assert np.mean([refused(seed, 38, wobble=0.02, shift=0.0) for seed in range(200)]) <= 0.06
    assert np.mean([refused(seed, 38, wobble=0.02, shift=0.25) for seed in range(200)]) >= 0.85
    assert np.mean([refused(seed, 38, wobble=0.02, shift=0.4) for seed in range(200)]) >= 0.95


def test_chance_of_few_parts_never_explains_more_than_single_parts_may_move() -> None:
    """Two standard deviations of the one part that sets the threshold would be 0.18."""
    reference = np.linspace(0.5, 1.4, 40).astype(np.float32)
    wobble = np.tile([-0.08, 0.08], 20)
    loose = SPEC.model_copy(update={"max_flip_rate": 1.0})
    for shift, held in ((-0.07, True), (-0.12, False)):
        found = judged(np.asarray(reference + wobble + shift, np.float32), held_out=1)
        if held:
            hold_budget("g", found, judged(reference, held_out=1), loose)
            continue
        (problem,) = problems(found, judged(reference, held_out=1), loose)
        assert problem.startswith("scaled scores of")


def test_lost_auroc_counts_where_chance_does_not_explain_it() -> None:
    """Twenty defective parts; five fall among the normal ones, then one by one place."""
    labels = [False] * 40 + [True] * 20
    reference = np.concatenate([np.linspace(0, 0.5, 40), np.linspace(1.5, 2, 20)]).astype(np.float32)
    loose = SPEC.model_copy(update={"max_score_bias": 9.0, "max_score_deviation": 9.0, "max_flip_rate": 1.0})
    fallen = reference.copy()
    fallen[40:46] = 0.2
    (problem,) = problems(judged(fallen, labels), judged(reference, labels), loose)
    assert problem.startswith("part AUROC 0.")
    assert "in fp32 1.0000, a drop of at least 0." in problem
    one = reference.copy()
    one[40] = 0.49
    report = hold_budget("g", judged(one, labels), judged(reference, labels), loose)
    assert report.auroc_drop is not None
    assert report.auroc_drop.low == 0.0  # the part is not drawn in a third of the samples


def test_labelled_parts_that_are_too_few_are_not_judged_and_the_report_says_so() -> None:
    labels = [False] * 9 + [True] * 2
    scores = np.linspace(0, 2, 11).astype(np.float32)
    report = hold_budget("g", judged(scores, labels), judged(scores, labels), SPEC)
    assert report.part_auroc == 1.0
    assert report.auroc_drop is None
    assert report.unmeasured == (
        "AUROC and AUPRO are not judged: 9 normal and 2 defective labelled parts, and either takes 5",
    )


def test_lost_aupro_is_refused_by_the_lower_end_of_its_interval() -> None:
    lost = Loss(value=0.70, reference=0.75, drop=Interval(low=0.01, high=0.09, level=0.95))
    (problem,) = problems(moved(0.0), moved(0.0), aupro=lost)
    assert problem.endswith("a drop of at least 0.0100; allowed: export.max_aupro_drop 0.002")
    doubtful = replace(lost, drop=Interval(low=-0.01, high=0.09, level=0.95))
    assert hold_budget("g", moved(0.0), moved(0.0), SPEC, aupro=doubtful).aupro == 0.7


def test_maps_are_a_check_over_all_held_out_parts_not_over_the_worst_one() -> None:
    reference = moved(0.0)
    odd = reference.counted.copy()
    odd[:60] = 5.0
    assert hold_budget("g", replace(reference, counted=odd), reference, SPEC).map_error == 0.0
    odd[:150] = 5.0
    (problem,) = problems(replace(reference, counted=odd), reference)
    assert "export.tolerance_int8" in problem
