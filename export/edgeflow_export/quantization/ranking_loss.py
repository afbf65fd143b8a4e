"""Loss of AUROC and AUPRO by a reduced graph: paired over parts, with a bootstrap interval."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.contracts.manifest import Interval
from edgeflow.contracts.scoring import FloatArray
from edgeflow_export.data.ground_truth import GroundTruth, region_weights

__all__ = ["AUPRO_LIMIT", "LEAST_LABELLED", "MASK_SIDE", "Loss", "PixelCurves", "aupro_loss", "auroc_loss"]

AUPRO_LIMIT = 0.3
"""False-positive rate up to which AUPRO is integrated."""
MASK_SIDE = 256
"""Maps and masks are compared at this size, as published."""
LEAST_LABELLED = 5
"""Fewer normal or fewer defective parts than this give no interval."""
_LEVEL = 0.95
_DRAWS = 1000
_SEED = 20261128
_CURVE_RATES = np.concatenate([[0.0], np.geomspace(1e-4, 0.6, 160)])
_SAMPLED = 2_000_000

Flags = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A figure of merit of two graphs on the same parts.

    Attributes:
        drop: 95 % interval of reference less value, over parts drawn with replacement.
    """

    value: float
    reference: float
    drop: Interval


def auroc_loss(scores: FloatArray, reference: FloatArray, defective: Flags) -> Loss | None:
    """Loss of part AUROC; None with fewer than five normal or five defective parts.

    Args:
        scores, reference: part scores (n,) of the two graphs.
        defective: (n,)
    """
    if not _enough(defective):
        return None
    good, bad = _draws(defective)
    found = [_pairs(each[defective], each[~defective]) for each in (scores, reference)]
    drawn = [np.einsum("bi,ij,bj->b", bad, wins, good, optimize=True) for wins in found]
    scale = float(bad[0].sum() * good[0].sum())
    return Loss(
        value=float(found[0].mean()),
        reference=float(found[1].mean()),
        drop=_interval((drawn[1] - drawn[0]) / scale),
    )


@dataclass(frozen=True, kw_only=True)
class PixelCurves:
    """Counts of each of n parts over falling map values: all that AUPRO of any draw of parts needs.

    Attributes:
        over: normal pixels above each value (n, k).
        normal: normal pixels (n,).
        overlap: summed overlap of the part's defect regions with what is above each value (n, k).
        regions: defect regions (n,).
    """

    over: Floats
    normal: Floats
    overlap: Floats
    regions: Floats

    @classmethod
    def of(cls, maps: FloatArray, truth: GroundTruth) -> PixelCurves:
        """Count the pixels of maps (n, V, h, w), as they are pooled, of the parts of a ground truth."""
        levels = _levels(maps, truth)
        rows = [_counts(part, masks, levels) for part, masks in zip(maps, truth.masks, strict=True)]
        over, normal, overlap, regions = zip(*rows, strict=True)
        return cls(
            over=np.stack(over),
            normal=np.array(normal, np.float64),
            overlap=np.stack(overlap),
            regions=np.array(regions, np.float64),
        )

    def area(self, weights: Floats) -> float:
        """AUPRO with each part counted ``weights`` (n,) times."""
        rates = np.append(0.0, weights @ self.over / (weights @ self.normal))
        hits = np.append(0.0, weights @ self.overlap / (weights @ self.regions))
        inside = rates < AUPRO_LIMIT
        end = float(np.interp(AUPRO_LIMIT, rates, hits))
        rates, hits = np.append(rates[inside], AUPRO_LIMIT), np.append(hits[inside], end)
        return float(np.sum(np.diff(rates) * (hits[1:] + hits[:-1]) / 2) / AUPRO_LIMIT)


def aupro_loss(found: PixelCurves, reference: PixelCurves, defective: Flags) -> Loss | None:
    """Loss of AUPRO; None where parts are too few, or no defect has a region."""
    if not _enough(defective) or not reference.regions.any():
        return None
    good, bad = _draws(defective)
    drops = []
    for of_good, of_bad in zip(good, bad, strict=True):
        weights = np.empty(len(defective))
        weights[~defective], weights[defective] = of_good, of_bad
        if weights @ reference.regions:
            drops.append(reference.area(weights) - found.area(weights))
    once = np.ones(len(defective))
    return Loss(
        value=found.area(once), reference=reference.area(once), drop=_interval(np.array(drops, np.float64))
    )


def _enough(defective: Flags) -> bool:
    return min(int(defective.sum()), int((~defective).sum())) >= LEAST_LABELLED


def _draws(defective: Flags) -> tuple[Floats, Floats]:
    """Counts of draws of each normal (b, n) and each defective part (b, m); the same in every export."""
    rng = np.random.default_rng(_SEED)
    counts = []
    for count in (int((~defective).sum()), int(defective.sum())):
        drawn = rng.integers(0, count, (_DRAWS, count))
        counts.append(np.stack([np.bincount(row, minlength=count) for row in drawn]).astype(np.float64))
    return counts[0], counts[1]


def _pairs(bad: FloatArray, good: FloatArray) -> Floats:
    """1 where a defective part scores above a normal one (m, n), a half for a tie, else 0."""
    return np.asarray((bad[:, None] > good) + 0.5 * (bad[:, None] == good), np.float64)


def _interval(drops: Floats) -> Interval:
    low, high = np.quantile(drops, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(low=round(float(low), 6), high=round(float(high), 6), level=_LEVEL)


def _levels(maps: FloatArray, truth: GroundTruth) -> FloatArray:
    """Map values, falling, that about these shares of all normal pixels are above."""
    sizes = MASK_SIDE * MASK_SIDE * maps.shape[0] * maps.shape[1]
    step = max(1, sizes // _SAMPLED)
    pixels = [
        _enlarged(view)[~mask][::step]
        for part, masks in zip(maps, truth.masks, strict=True)
        for view, mask in zip(part, masks, strict=True)
    ]
    levels = np.quantile(np.concatenate(pixels), 1 - _CURVE_RATES)
    return np.unique(np.asarray(levels, np.float32))[::-1]


def _counts(
    maps: FloatArray, masks: npt.NDArray[np.bool_], levels: FloatArray
) -> tuple[Floats, int, Floats, int]:
    """One part's counts; see :class:`PixelCurves`."""
    over, overlap = np.zeros(len(levels)), np.zeros(len(levels))
    normal = regions = 0
    for view, mask in zip(maps, masks, strict=True):
        heat = _enlarged(view)
        over += _above(heat[~mask], levels)
        normal += int((~mask).sum())
        if mask.any():
            weights = region_weights(mask)
            overlap += _above(heat[mask], levels, weights)
            regions += round(float(weights.sum()))
    return over, normal, overlap, regions


def _above(values: FloatArray, levels: FloatArray, weights: Floats | None = None) -> Floats:
    """Summed weights of the values above each of the falling levels (k,)."""
    places = np.searchsorted(levels[::-1], values, side="left")  # so many levels lie below the value
    counts = np.bincount(places, weights=weights, minlength=len(levels) + 1)
    return np.asarray(np.cumsum(counts[::-1])[: len(levels)], np.float64)


def _enlarged(heat: FloatArray) -> FloatArray:
    return np.asarray(cv2.resize(heat, (MASK_SIDE, MASK_SIDE), interpolation=cv2.INTER_LINEAR), np.float32)
