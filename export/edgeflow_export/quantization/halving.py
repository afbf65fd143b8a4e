"""How many groups of convolutions must go back to float, found with few tries."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["bisect_kept_layers"]


def bisect_kept_layers(most: int, attempt: Callable[[int], bool]) -> int | None:
    """The least count from 1 to ``most`` that holds the budgets; more in float is taken to decide no worse.

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
