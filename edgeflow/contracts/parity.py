"""Difference between two computations of the same anomaly maps."""

from __future__ import annotations

import numpy as np

from edgeflow.contracts.scoring import FloatArray

__all__ = ["relative_error"]


def relative_error(maps: FloatArray, reference: FloatArray) -> float:
    """Largest deviation over the largest reference value, max|a-b| / max|b|; infinite for any non-finite map.

    Args:
        maps, reference: float32, same shape; another shape is infinitely far away.
    """
    if maps.shape != reference.shape or not np.isfinite(maps).all():
        return float("inf")
    return float(np.abs(maps - reference).max() / max(float(np.abs(reference).max()), 1e-12))
