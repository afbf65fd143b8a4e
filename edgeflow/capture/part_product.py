"""Product of a part: what its trigger says, else the product that was chosen at its trigger's moment."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from edgeflow.clock import monotonic_ns

__all__ = ["PartProduct", "ProductTimeline"]

_KEPT_NS = 600 * 10**9  # no part takes so long from its trigger to its view set


@dataclass(frozen=True, kw_only=True)
class PartProduct:
    """Product of one part; it goes with the part from its trigger to its records, and never changes.

    Attributes:
        name: a product of the box file; None where it is not known.
        problem: why it is not known, in words; empty where it is.
    """

    name: str | None
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class _Choice:
    since_ns: int
    product: PartProduct


class ProductTimeline:
    """Products that were chosen for parts whose triggers name none, each from its moment on.

    A part is of the product that was chosen at its trigger, whenever it is asked for: one that is in flight
    while another product is chosen keeps its own.

    Args:
        first: since ever.
        clock: monotonic, in nanoseconds, as of triggers.

    Attributes:
        views_of: product → views of its bundle, None where they are not known; whoever holds the bundles sets
            it, and every thread calls it.
    """

    def __init__(self, first: PartProduct, clock: Callable[[], int] = monotonic_ns) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._choices = [_Choice(since_ns=0, product=first)]
        self.views_of: Callable[[str], Collection[str] | None] = lambda _name: None

    @property
    def now(self) -> PartProduct:
        """Product of a part that is triggered now; for every thread."""
        with self._lock:
            return self._choices[-1].product

    def choose(self, product: PartProduct) -> None:
        """Choose a product for all parts that are triggered from now on."""
        with self._lock:
            now_ns = self._clock()  # under the lock: who asks before is asked for an earlier trigger
            over_ns = now_ns - _KEPT_NS
            needed = next(
                (n for n, choice in enumerate(self._choices[1:]) if choice.since_ns > over_ns),
                len(self._choices) - 1,
            )
            self._choices = [*self._choices[needed:], _Choice(since_ns=now_ns, product=product)]

    def at(self, moment_ns: int) -> PartProduct:
        """Return the product that was chosen at a moment; for every thread."""
        with self._lock:
            for choice in reversed(self._choices):
                if choice.since_ns <= moment_ns:
                    return choice.product
            return PartProduct(name=None, problem="unknown product: the trigger is older than all choices")

    def views(self, told: PartProduct | None, moment_ns: int) -> Collection[str] | None:
        """Return the views that a part is judged by; None where they are not known: then it waits for all.

        Args:
            told: by the part's own trigger.
        """
        product = self.at(moment_ns) if told is None else told
        return None if product.name is None else self.views_of(product.name)
