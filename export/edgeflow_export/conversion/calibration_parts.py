"""The parts that INT8 is calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["spread"]

T = TypeVar("T")


def spread(parts: Sequence[T], count: int) -> tuple[T, ...]:
    """So many of the parts at most, evenly spread: the first ones may all be of one morning."""
    if count >= len(parts):
        return tuple(parts)
    return tuple(parts[place * len(parts) // count] for place in range(count))
