"""Figures of merit: against scikit-learn, and against hand-made cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from sklearn.metrics import roc_auc_score

from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.scoring import FloatArray, PixelStatistics
from edgeflow.errors import DataError
from edgeflow_export.evaluation import EvaluationReport, LabelledMaps, evaluate, measure, report_table
from edgeflow_export.evaluation_plots import save_plots
from edgeflow_export.ranking import area_under_curve, auroc, region_weights
from support.tiny import TinyProduct

MAX_MEAN = Scoring(view="max", part="mean")


def floats(values: list[float]) -> FloatArray:
    return np.array(values, np.float32)


def hand_made() -> LabelledMaps:
    """Four parts of two views, 4x4: two normal, a 'dent' seen by one view, a 'chip' by both."""
    maps = np.zeros((4, 2, 4, 4), np.float32)
    masks = np.zeros((4, 2, 4, 4), np.bool_)
    maps[0, :, 0, 0] = 1, 2
    maps[1, :, 0, 0] = 3, 1
    maps[2, :, 1, 1] = 9, 0.5
    masks[2, 0, 1, 1] = True
    maps[3, :, 2, 2] = 1, 1.5
    masks[3, :, 2, 2] = True
    return LabelledMaps(maps=maps, masks=masks, labels=("OK", "OK", "dent", "chip"), view_ids=("a", "b"))


def test_figures_of_a_hand_made_case() -> None:
    report = measure(hand_made(), MAX_MEAN, threshold=2.0)
    # Part scores: 1.5, 2 | 4.75 (dent), 1.25 (chip).
    assert report.part_auroc == 0.5
    assert report.normal_scores == (1.5, 2.0)
    assert report.defective_scores == (4.75, 1.25)
    assert report.recall == 0.5
    assert report.false_reject_rate == 0
    assert report.classes["dent"].part_auroc == 1
    assert report.classes["dent"].recall == 1
    assert report.classes["chip"].part_auroc == 0
    assert report.classes["chip"].recall == 0
    # View scores: normal 1, 2, 3, 1, 0.5 | defective 9, 1, 1.5; 10.0 of 15 pairs in order.
    assert report.view_auroc == pytest.approx((5 + 2 + 3) / 15)
    assert report.per_view_auroc == {"a": pytest.approx(0.625), "b": pytest.approx(2 / 3)}


def test_pixel_statistics_make_places_comparable() -> None:
    tested = hand_made()
    mean = np.zeros((2, 4, 4), np.float32)
    std = np.ones((2, 4, 4), np.float32)
    mean[:, 0, 0] = 2
    std[:, 2, 2] = 0.1
    report = measure(tested, MAX_MEAN, statistics=PixelStatistics(mean=mean, std=std))
    assert report.part_auroc == 1


def test_figures_that_need_labels_are_none_without_them() -> None:
    tested = hand_made()
    normal = LabelledMaps(
        maps=tested.maps[:2], masks=tested.masks[:2], labels=tested.labels[:2], view_ids=tested.view_ids
    )
    report = measure(normal, MAX_MEAN)
    assert report.part_auroc is None
    assert report.pixel_auroc is None
    assert report.aupro is None
    assert report.recall is None
    assert report.classes == {}
    with pytest.raises(DataError, match="needs normal and defective parts"):
        save_plots(report, Path("unused"))


@pytest.mark.parametrize("seed", range(10))
def test_area_equals_scikit_learn_with_ties_and_weights(seed: int) -> None:
    rng = np.random.default_rng(seed)
    normal = rng.integers(0, 12, rng.integers(1, 60)).astype(np.float32)
    defective = rng.integers(4, 15, rng.integers(1, 30)).astype(np.float32)
    weights = rng.random(len(defective)) + 0.1
    truth = np.repeat([0, 1], [len(normal), len(defective)])
    scores = np.concatenate([normal, defective])
    assert area_under_curve(normal, defective) == pytest.approx(roc_auc_score(truth, scores))
    expected = roc_auc_score(truth, scores, sample_weight=np.concatenate([np.ones(len(normal)), weights]))
    assert area_under_curve(normal, defective, weights=weights) == pytest.approx(expected)


def test_partial_area_of_hand_made_curves() -> None:
    normal = np.arange(10, dtype=np.float32)
    # Found at once; never; and found when 2 of 10 normal pixels are already over.
    assert area_under_curve(normal, floats([20]), limit=0.3) == pytest.approx(1)
    assert area_under_curve(normal, floats([-1]), limit=0.3) == pytest.approx(0)
    assert area_under_curve(normal, floats([7.5]), limit=0.3) == pytest.approx(1 / 3)
    # A limit between two rates cuts a step, and halves a tie.
    assert area_under_curve(normal, floats([7.5]), limit=0.25) == pytest.approx(0.2)
    assert area_under_curve(floats([5, 5, 1, 1]), floats([5]), limit=0.25) == pytest.approx(0.25)


def test_every_region_weighs_the_same_however_large() -> None:
    mask = np.zeros((6, 6), np.bool_)
    mask[0, 0] = True
    mask[2:4, 2:4] = True
    mask[4, 4] = True  # touches the square by a corner: one region
    weights = region_weights(mask)
    assert weights.tolist() == [1.0, *[0.2] * 5]
    assert region_weights(np.zeros((3, 3), np.bool_)).size == 0


def test_auroc_of_one_kind_only_is_none() -> None:
    assert auroc(floats([1, 2]), np.array([True, True])) is None
    assert auroc(floats([1, 2]), np.array([False, True])) == 1


def test_checkpoint_is_evaluated_on_its_test_parts(tiny: TinyProduct, tmp_path: Path) -> None:
    report = evaluate(tiny.checkpoint, progress=False)
    assert report.parts == 12
    assert report.defective_parts == 6
    assert report.part_auroc is not None
    assert report.part_auroc > 0.9
    assert report.pixel_auroc is not None
    assert report.pixel_auroc > 0.9
    assert set(report.classes) == {"spot"}
    assert EvaluationReport.model_validate_json(report.model_dump_json()) == report

    console = Console(width=100)
    with console.capture() as captured:
        console.print(report_table(report))
    assert "spot" in captured.get()
    assert "all defects" in captured.get()

    for path in save_plots(report, tmp_path / "plots"):
        with Image.open(path) as picture:
            assert min(picture.size) > 300


def test_another_form_of_the_model_is_measured_the_same_way(tiny: TinyProduct) -> None:
    flat = evaluate(
        tiny.checkpoint, maps_of=lambda images: np.zeros((len(images), 8, 8), np.float32), progress=False
    )
    assert flat.part_auroc == 0.5
    assert flat.pixel_auroc is not None


def test_map_that_is_not_finite_names_its_part(tiny: TinyProduct) -> None:
    with pytest.raises(DataError, match=r"part OK/S0031: its anomaly map is not finite"):
        evaluate(
            tiny.checkpoint,
            maps_of=lambda images: np.full((len(images), 8, 8), np.nan, np.float32),
            progress=False,
        )
