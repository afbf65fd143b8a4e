"""How many groups of convolutions must go back to float, found with few tries."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

__all__ = ["Outcome", "least_within"]


class Outcome(Enum):
    """Of one try: within the budgets and fast enough; over a budget; no faster than fp32."""

    WITHIN = "within"
    OVER = "over"
    SLOW = "slow"


def least_within(total: int, attempt: Callable[[int], Outcome]) -> int | None:
    """The least count between 0 and ``total``, both left out, that is within.

    More in float is taken to decide no worse, and to be no faster: over budget the answer lies above, too
    slow it lies below.

    Returns:
        A count that was tried and is within; None where none was found.
    """
    over, bound, found = 0, total, None
    while bound - over > 1:
        middle = (over + bound) // 2
        outcome = attempt(middle)
        if outcome is Outcome.OVER:
            over = middle
        else:
            bound = middle
            found = middle if outcome is Outcome.WITHIN else found
    return found
