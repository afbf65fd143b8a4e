"""Measures of ranking defective above normal: AUROC, and AUPRO over regions of pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

__all__ = ["PixelRanks", "auroc", "rank_pixels"]

BLOCK = 1 << 24
"""Normal pixels that are sorted at a time: 64 MB."""

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


def auroc(scores: Floats, defective: npt.NDArray[np.bool_]) -> float | None:
    """AUROC of a handful of scores; None where all are normal or all defective."""
    if defective.all() or not defective.any():
        return None
    return float(roc_auc_score(defective, scores))


@dataclass(frozen=True, kw_only=True)
class PixelRanks:
    """Ranks of defective pixels among normal ones: all that an exact ROC curve needs.

    Attributes:
        places: of the m defective pixels, index into the k distinct values among them, rising.
        over: how many normal pixels are higher than each distinct value (k,).
        reached: how many are as high or higher (k,).
        normal: how many normal pixels there are.
    """

    places: npt.NDArray[np.intp]
    over: npt.NDArray[np.int64]
    reached: npt.NDArray[np.int64]
    normal: int

    def area(self, *, weights: Floats | None = None, limit: float = 1.0) -> float | None:
        """Normalised area under the ROC curve up to a false-positive rate.

        Args:
            weights: of the defective pixels (m,). With each pixel weighted by the inverse size of its region
                the true-positive rate is the mean overlap over regions, and the area AUPRO.
            limit: false-positive rate where the integration ends.

        Returns:
            The area divided by ``limit``, in 0..1; None without normal or without defective pixels.
        """
        if not self.normal or not self.places.size:
            return None
        share = np.bincount(self.places, weights=weights, minlength=len(self.over))
        # From the strictest threshold down: rates just above and just at each defective value.
        above, at = self.over[::-1] / self.normal, self.reached[::-1] / self.normal
        found = np.cumsum(share[::-1]) / share.sum()
        # Between two defective values only the false-positive rate grows; at a tie both grow together.
        before = np.concatenate([[0.0], found[:-1]])
        rates = np.concatenate([[0.0], np.stack([above, at], 1).ravel(), [1.0]])
        hits = np.concatenate([[0.0], np.stack([before, found], 1).ravel(), [1.0]])
        inside = int(np.searchsorted(rates, limit, side="right"))
        end = hits[-1] if inside == len(rates) else _between(rates, hits, inside, limit)
        rates, hits = np.append(rates[:inside], limit), np.append(hits[:inside], end)
        return float(np.sum(np.diff(rates) * (hits[1:] + hits[:-1]) / 2) / limit)


def rank_pixels(normal: Iterable[Floats], defective: Floats, *, block: int = BLOCK) -> PixelRanks:
    """Rank defective pixels among normal ones, of which there may be hundreds of millions.

    Counts add up over blocks, so that normal pixels are never all in memory; the result is exact.

    Args:
        normal: scores of normal pixels in pieces (n,) of any size, such as a map each.
        defective: scores of all defective pixels (m,); all of them are kept.
        block: how many normal pixels are sorted at a time.
    """
    values, places = np.unique(defective, return_inverse=True)
    over, reached = np.zeros(len(values), np.int64), np.zeros(len(values), np.int64)
    total = 0
    for ordered in _sorted_blocks(normal, block):
        total += len(ordered)
        over += len(ordered) - np.searchsorted(ordered, values, side="right")
        reached += len(ordered) - np.searchsorted(ordered, values, side="left")
    return PixelRanks(places=places, over=over, reached=reached, normal=total)


def _sorted_blocks(pieces: Iterable[Floats], size: int) -> Iterator[Floats]:
    """The pieces' values in sorted arrays of up to ``size`` values; each is overwritten by the next."""
    buffer = np.empty(size, np.float32)
    filled = 0
    for piece in pieces:
        start = 0
        while start < len(piece):
            taken = min(size - filled, len(piece) - start)
            buffer[filled : filled + taken] = piece[start : start + taken]
            filled, start = filled + taken, start + taken
            if filled == size:
                buffer.sort()
                yield buffer
                filled = 0
    if filled:
        rest = buffer[:filled]
        rest.sort()
        yield rest


def _between(rates: Floats, hits: Floats, index: int, limit: float) -> float:
    """The curve's height at ``limit``, which lies between two of its points."""
    x0, x1, y0, y1 = rates[index - 1], rates[index], hits[index - 1], hits[index]
    return float(y0 + (y1 - y0) * (limit - x0) / (x1 - x0))
