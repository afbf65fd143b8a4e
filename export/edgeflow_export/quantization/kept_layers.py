"""Groups of convolutions that stay in float: upper limit, least number by bisection, name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgeflow_export.conversion.int8 import Group

__all__ = ["bisect_kept_layers", "describe_kept", "give_back", "most_in_float"]

GIVE_BACK = 4
"""Groups at most that are tried in INT8 again: each try quantizes and scores all parts."""


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


def give_back(kept: Sequence[Group], attempt: Callable[[Sequence[Group]], bool]) -> tuple[Group, ...]:
    """Take groups that stay in float into INT8 again where the budgets hold, first those that multiply most.

    A group comes to float by what it alone does; beside the others it may do no harm, and where it multiplies
    much it costs the most. The last of ``kept`` is known to be needed.

    Args:
        kept: groups in float with which the budgets hold.

    Returns:
        The groups that stay in float.
    """
    stays = tuple(kept)
    for group in sorted(kept[:-1], key=lambda each: -each.macs)[:GIVE_BACK]:
        others = tuple(each for each in stays if each is not group)
        if attempt(others):
            stays = others
    return stays


def most_in_float(order: Sequence[Group]) -> int:
    """Count the groups, in this order, that together hold at most half of all convolutions."""
    counts = np.cumsum([len(group.members) for group in order])
    return int((2 * counts <= counts[-1]).sum())


def describe_kept(kept: Sequence[Group]) -> str:
    """Return the quantized share of a graph in words, by the groups that stay in float."""
    if not kept:
        return "all convolutions"
    return "all convolutions but " + ", ".join(group.name for group in kept)
