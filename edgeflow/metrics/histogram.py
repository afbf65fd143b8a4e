"""Counts of values by size, and quantiles of the latest values; pure."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

__all__ = ["Histogram", "HistogramFigures", "Quantiles", "quantiles"]


@dataclass(frozen=True, kw_only=True)
class HistogramFigures:
    """A histogram at one moment.

    Attributes:
        buckets: upper bound and number of values up to it, ascending, without infinity.
        total: sum of all values.
        count: of all values.
    """

    buckets: tuple[tuple[float, int], ...]
    total: float
    count: int


class Histogram:
    """Counts values into buckets; not for several threads.

    Args:
        bounds: upper bounds of the buckets, ascending; larger values only count in ``count`` and ``total``.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self._total = 0.0

    def add(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def figures(self) -> HistogramFigures:
        """Return the present counts."""
        up_to = accumulate(self._counts[:-1])
        buckets = tuple(zip(self._bounds, up_to, strict=True))
        return HistogramFigures(buckets=buckets, total=self._total, count=sum(self._counts))


@dataclass(frozen=True, kw_only=True)
class Quantiles:
    """Quantiles of some values, and their number."""

    count: int
    p50: float
    p90: float
    p99: float
    highest: float


def quantiles(values: deque[float] | Iterable[float]) -> Quantiles | None:
    """Return the quantiles of values; None where there are none."""
    known = np.fromiter(values, np.float64)
    if not known.size:
        return None
    p50, p90, p99, highest = (float(value) for value in np.quantile(known, (0.5, 0.9, 0.99, 1.0)))
    return Quantiles(count=known.size, p50=p50, p90=p90, p99=p99, highest=highest)
