"""How well scores rank defective above normal: AUROC, and AUPRO over regions of pixels."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

__all__ = ["area_under_curve", "auroc", "region_weights"]

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def auroc(scores: Floats, defective: npt.NDArray[np.bool_]) -> float | None:
    """AUROC of a handful of scores; None where all are normal or all defective."""
    if defective.all() or not defective.any():
        return None
    return float(roc_auc_score(defective, scores))


def area_under_curve(
    normal: Floats, defective: Floats, *, weights: Floats | None = None, limit: float = 1.0
) -> float | None:
    """Normalised area under the ROC curve up to a false-positive rate; made for millions of pixels.

    Args:
        normal: scores of normal pixels (n,).
        defective: scores of defective pixels (m,).
        weights: of the defective pixels (m,). With each pixel weighted by the inverse size of its region
            the true-positive rate is the mean overlap over regions, and the area AUPRO.
        limit: false-positive rate where the integration ends.

    Returns:
        The area divided by ``limit``, in 0..1; None without normal or without defective pixels.
    """
    if not normal.size or not defective.size:
        return None
    ordered = np.sort(normal)
    values, inverse = np.unique(defective, return_inverse=True)
    share = np.bincount(inverse, weights=weights, minlength=len(values))
    # From the strictest threshold down: rates just above and just at each defective value.
    above = (1 - np.searchsorted(ordered, values, side="right") / len(ordered))[::-1]
    at = (1 - np.searchsorted(ordered, values, side="left") / len(ordered))[::-1]
    found = np.cumsum(share[::-1]) / share.sum()
    # Between two defective values only the false-positive rate grows; at a tie both grow together.
    rates = np.append(np.stack([above, at], 1).ravel(), 1.0)
    hits = np.append(np.stack([np.concatenate([[0.0], found[:-1]]), found], 1).ravel(), 1.0)
    rates, hits = np.concatenate([[0.0], rates]), np.concatenate([[0.0], hits])
    inside = int(np.searchsorted(rates, limit, side="right"))
    end = hits[-1] if inside == len(rates) else _between(rates, hits, inside, limit)
    rates, hits = np.append(rates[:inside], limit), np.append(hits[:inside], end)
    return float(np.sum(np.diff(rates) * (hits[1:] + hits[:-1]) / 2) / limit)


def region_weights(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Weights (m,) of the m defective pixels of a mask (H, W), in row order: every region weighs 1.

    A region is a set of pixels that touch by edge or corner.
    """
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    inside = labels[mask]
    sizes = np.bincount(inside) if inside.size else np.ones(1)
    return np.asarray(1 / sizes[inside], np.float64)


def _between(rates: Floats, hits: Floats, index: int, limit: float) -> float:
    """The curve's height at ``limit``, which lies between two of its points."""
    x0, x1, y0, y1 = rates[index - 1], rates[index], hits[index - 1], hits[index]
    return float(y0 + (y1 - y0) * (limit - x0) / (x1 - x0))
