"""Ranking: against scikit-learn, against a brute-force AUPRO, and on hand-made curves."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from edgeflow.contracts.scoring import FloatArray
from edgeflow_export.data.ground_truth import region_weights
from edgeflow_export.evaluation.auroc import auroc, rank_pixels

LIMIT = 0.3


def floats(values: list[float]) -> FloatArray:
    return np.array(values, np.float32)


def area(normal: FloatArray, defective: FloatArray, *, limit: float = 1.0, block: int = 7) -> float | None:
    return rank_pixels([normal], defective, block=block).area(limit=limit)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("block", [1, 7, 1000])
def test_area_equals_scikit_learn_with_ties_and_weights(seed: int, block: int) -> None:
    rng = np.random.default_rng(seed)
    normal = rng.integers(0, 12, rng.integers(1, 60)).astype(np.float32)
    defective = rng.integers(4, 15, rng.integers(1, 30)).astype(np.float32)
    weights = rng.random(len(defective)) + 0.1
    truth = np.repeat([0, 1], [len(normal), len(defective)])
    scores = np.concatenate([normal, defective])
    ranks = rank_pixels(np.array_split(normal, 3), defective, block=block)
    assert ranks.area() == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)
    expected = roc_auc_score(truth, scores, sample_weight=np.concatenate([np.ones(len(normal)), weights]))
    assert ranks.area(weights=weights) == pytest.approx(expected, rel=1e-12)


def brute_force_aupro(maps: FloatArray, masks: npt.NDArray[np.bool_]) -> float:
    """Threshold by threshold, region by region, as the metric is defined (MVTec AD)."""
    regions = []
    for index, mask in enumerate(masks):
        labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
        regions += [(index, labels == label) for label in range(1, count + 1)]
    rates, overlaps = [0.0], [0.0]
    for threshold in np.unique(maps)[::-1]:
        over = maps >= threshold
        rates.append(float(over[~masks].mean()))
        overlaps.append(float(np.mean([over[index][region].mean() for index, region in regions])))
    inside = [(rate, overlap) for rate, overlap in zip(rates, overlaps, strict=True) if rate <= LIMIT]
    # Beyond the last point within the limit the curve runs straight to the next one.
    following = next(i for i, rate in enumerate(rates) if rate > LIMIT)
    share = (LIMIT - rates[following - 1]) / (rates[following] - rates[following - 1])
    end = overlaps[following - 1] + share * (overlaps[following] - overlaps[following - 1])
    x, y = zip(*inside, (LIMIT, end), strict=True)
    return sum((x[i + 1] - x[i]) * (y[i + 1] + y[i]) / 2 for i in range(len(x) - 1)) / LIMIT


@pytest.mark.parametrize("levels", [4, 30, 100_000])
@pytest.mark.parametrize("seed", range(4))
def test_aupro_equals_brute_force(levels: int, seed: int) -> None:
    rng = np.random.default_rng([seed, levels])
    masks = ndimage.uniform_filter(rng.random((6, 20, 20)), (0, 3, 3)) > 0.6
    assert masks.any()
    noise = ndimage.uniform_filter(rng.random(masks.shape), (0, 3, 3)) + 0.08 * masks
    maps = np.floor(noise * levels).astype(np.float32)
    ranks = rank_pixels((m[~mask] for m, mask in zip(maps, masks, strict=True)), maps[masks], block=100)
    weights = np.concatenate([region_weights(mask) for mask in masks])
    found = ranks.area(weights=weights, limit=LIMIT)
    assert found == pytest.approx(brute_force_aupro(maps, masks), rel=1e-9)
    assert found is not None
    assert 0.02 < found < 0.98


def test_partial_area_of_hand_made_curves() -> None:
    normal = np.arange(10, dtype=np.float32)
    # Found at once; never; and found when 2 of 10 normal pixels are already over.
    assert area(normal, floats([20]), limit=0.3) == pytest.approx(1)
    assert area(normal, floats([-1]), limit=0.3) == pytest.approx(0)
    assert area(normal, floats([7.5]), limit=0.3) == pytest.approx(1 / 3)
    # A limit between two rates cuts a step, and halves a tie.
    assert area(normal, floats([7.5]), limit=0.25) == pytest.approx(0.2)
    assert area(floats([5, 5, 1, 1]), floats([5]), limit=0.25) == pytest.approx(0.25)


def test_area_needs_both_kinds() -> None:
    assert area(floats([]), floats([1])) is None
    assert area(floats([1]), floats([])) is None


def test_normal_pixels_are_never_all_in_memory() -> None:
    rng = np.random.default_rng(0)
    pieces, size = 40, 1 << 16

    def normal() -> Iterator[FloatArray]:
        for _ in range(pieces):
            yield rng.random(size, np.float32)

    tracemalloc.start()
    try:
        ranks = rank_pixels(normal(), rng.random(1000, np.float32), block=1 << 17)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert ranks.normal == pieces * size
    assert ranks.area() == pytest.approx(0.5, abs=0.05)
    assert peak < pieces * size * 4 / 4


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
