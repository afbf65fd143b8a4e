"""Groups of convolutions that stay in float: upper limit, least number by bisection, name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeflow_export.conversion.int8 import Group

__all__ = ["bisect_kept_layers", "describe_kept", "most_in_float"]


def bisect_kept_layers(most: int, attempt: Callable[[int], bool]) -> int | None:
    """Find the least count from 1 to ``most`` that holds the budgets.

    A graph with more groups in float is assumed to decide no worse.

    Returns:
        A count that was tried and holds them; None where none was found.
    """
    over, bound, found = 0, most + 1, None
    while bound - over > 1:
        middle = (over + bound) // 2
        if attempt(middle):
            bound = found = middle
        else:
            over = middle
    return found


def most_in_float(order: Sequence[Group]) -> int:
    """Count the groups, in this order, that together hold at most half of all convolutions."""
    counts = np.cumsum([len(group.members) for group in order])
    return int((2 * counts <= counts[-1]).sum())


def describe_kept(kept: Sequence[Group]) -> str:
    """Return the quantized share of a graph in words, by the groups that stay in float."""
    if not kept:
        return "all convolutions"
    return "all convolutions but " + ", ".join(group.name for group in kept)
