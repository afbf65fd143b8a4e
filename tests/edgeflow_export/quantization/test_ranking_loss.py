"""Losses of AUROC and AUPRO with an interval over the parts, the same in every export."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from edgeflow_export.data.ground_truth import GroundTruth
from edgeflow_export.evaluation.auroc import auroc
from edgeflow_export.evaluation.metrics import AUPRO_LIMIT as PUBLISHED_LIMIT
from edgeflow_export.evaluation.metrics import pixel_figures
from edgeflow_export.quantization.ranking_loss import (
    AUPRO_LIMIT,
    MASK_SIDE,
    PixelCurves,
    aupro_loss,
    auroc_loss,
)

PARTS, SIDE = 12, 16


def scene(seed: int, strength: float) -> tuple[npt.NDArray[np.float32], GroundTruth]:
    """Maps (12, 1, 16, 16) of noise; in every second part a square defect that stands out."""
    rng = np.random.default_rng(seed)
    maps = rng.normal(0, 1, (PARTS, 1, SIDE, SIDE)).astype(np.float32)
    masks = np.zeros((PARTS, 1, MASK_SIDE, MASK_SIDE), np.bool_)
    scale = MASK_SIDE // SIDE
    for part in range(0, PARTS, 2):
        maps[part, 0, 4:7, 4:8] += strength
        masks[part, 0, 4 * scale : 7 * scale, 4 * scale : 8 * scale] = True
    truth = GroundTruth(
        part_ids=tuple(f"p{n}" for n in range(PARTS)),
        view_ids=("top",),
        labels=tuple("scratch" if n % 2 == 0 else "OK" for n in range(PARTS)),
        defective=masks.any((2, 3)),
        masks=tuple(masks),
    )
    return maps, truth


def test_aupro_is_the_published_figure() -> None:
    maps, truth = scene(3, 2.0)
    _, exact = pixel_figures(maps, truth)
    found = PixelCurves.of(maps, truth).area(np.ones(PARTS))
    assert exact is not None
    assert 0.3 < exact < 0.99
    assert found == pytest.approx(exact, abs=2e-3)
    assert AUPRO_LIMIT == PUBLISHED_LIMIT


def test_weaker_defects_lose_aupro_and_the_interval_holds_the_loss() -> None:
    (strong, truth), (weak, _) = scene(3, 3.0), scene(3, 1.0)
    bad = truth.defective_parts
    before, now = PixelCurves.of(strong, truth), PixelCurves.of(weak, truth)
    lost = aupro_loss(now, before, bad)
    assert lost is not None
    assert lost.drop.high is not None
    assert 0 < lost.drop.low < lost.reference - lost.value < lost.drop.high
    assert aupro_loss(now, before, bad) == lost  # nothing of it is left to chance
    same = aupro_loss(before, before, bad)
    assert same is not None
    assert (same.drop.low, same.drop.high) == (0.0, 0.0)


def test_auroc_is_exact_and_ties_count_half() -> None:
    rng = np.random.default_rng(5)
    bad = np.arange(40) % 2 == 0
    reference = (rng.normal(0, 1, 40) + bad).astype(np.float32)
    found = np.round(reference)
    loss = auroc_loss(found, reference, bad)
    assert loss is not None
    assert loss.reference == pytest.approx(auroc(reference, bad))
    assert loss.value == pytest.approx(auroc(found, bad))
    assert loss.drop.high is not None
    assert loss.drop.low <= loss.reference - loss.value <= loss.drop.high


def test_four_parts_of_a_kind_give_no_interval() -> None:
    scores = np.arange(20, dtype=np.float32)
    assert auroc_loss(scores, scores, scores > 15) is None
    assert auroc_loss(scores, scores, scores > 14) is not None
