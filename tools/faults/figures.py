"""A measured figure beside what it has to reach."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Figure", "percentile"]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table.

    Attributes:
        limit: ``None`` where the figure is only told.
        at_least: the limit is a minimum.
        timed: it depends on how fast the machine is, and on what else it does.
    """

    fault: str
    what: str
    value: float
    limit: float | None = None
    at_least: bool = False
    timed: bool = False

    @property
    def good(self) -> bool:
        if self.limit is None:
            return True
        return self.value >= self.limit if self.at_least else self.value <= self.limit


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all values keeps (nearest rank); NaN for none."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
