"""Figures of merit of hand-made cases, and at the masks' resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from edgeflow.contracts.scoring import PixelStatistics
from edgeflow_export.data.ground_truth import GroundTruth
from tests.support.evaluations import hand_made, report_on


def test_figures_of_a_hand_made_case() -> None:
    report = report_on(*hand_made(), threshold=2.0)
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


def test_mistakes_are_listed_with_the_worst_first() -> None:
    maps, truth = hand_made()
    report = report_on(maps, truth, threshold=1.4)
    assert report.false_accepts is not None
    assert report.false_rejects is not None
    assert [part.part_id for part in report.false_accepts] == ["p3"]
    assert [part.part_id for part in report.false_rejects] == ["p1", "p0"]
    (passed,) = report.false_accepts
    assert passed.label == "chip"
    assert passed.score == pytest.approx((1.25 - 1) / 0.4)
    assert passed.score_raw == 1.25
    assert passed.views == {"a": pytest.approx(1 / 1.4), "b": pytest.approx(1.5 / 1.4)}
    at_threshold = report_on(maps, truth, threshold=2.0)
    assert at_threshold.false_rejects == (), "a part exactly at the threshold is OK, as on the box"


def test_without_a_threshold_nothing_is_called_a_mistake() -> None:
    report = report_on(*hand_made())
    assert report.false_accepts is None
    assert report.false_rejects is None
    assert report.recall is None
    assert report.part_auroc == 0.5


def test_pixel_statistics_make_places_comparable() -> None:
    mean = np.zeros((2, 4, 4), np.float32)
    std = np.ones((2, 4, 4), np.float32)
    mean[:, 0, 0] = 2
    std[:, 2, 2] = 0.1
    report = report_on(*hand_made(), statistics=PixelStatistics(mean=mean, std=std))
    assert report.part_auroc == 1


def test_figures_that_need_labels_are_none_without_them() -> None:
    maps, truth = hand_made()
    normal = GroundTruth(
        part_ids=truth.part_ids[:2],
        view_ids=truth.view_ids,
        labels=truth.labels[:2],
        defective=truth.defective[:2],
        masks=truth.masks[:2],
    )
    report = report_on(maps[:2], normal, threshold=2.0)
    assert report.part_auroc is None
    assert report.pixel_auroc is None
    assert report.aupro is None
    assert report.recall is None
    assert report.classes == {}


def test_defect_too_small_for_the_mask_still_makes_its_part_defective() -> None:
    maps, truth = hand_made()
    without = replace(truth, masks=(*truth.masks[:3], np.zeros_like(truth.masks[3])))
    assert report_on(maps, without).part_auroc == report_on(maps, truth).part_auroc
    assert report_on(maps, without).defective_parts == 2


def test_maps_are_enlarged_bilinearly_to_the_masks() -> None:
    rng = np.random.default_rng(3)
    maps = rng.normal(size=(4, 2, 6, 6)).astype(np.float32)
    masks = np.zeros((4, 2, 32, 32), np.bool_)
    masks[2:, :, 5:17, 9:20] = True
    enlarged = F.interpolate(torch.from_numpy(maps), (32, 32), mode="bilinear", align_corners=False).numpy()
    truth = GroundTruth(
        part_ids=("p0", "p1", "p2", "p3"),
        view_ids=("a", "b"),
        labels=("OK", "OK", "dent", "dent"),
        defective=masks.any(axis=(2, 3)),
        masks=tuple(masks),
    )
    expected = roc_auc_score(masks.ravel(), enlarged.ravel())
    assert report_on(maps, truth).pixel_auroc == pytest.approx(expected, abs=1e-6)
