"""Graphs of messages between views: the published neighbour graphs, for any number of views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from edgeflow.errors import ConfigError

__all__ = ["GRAPHS", "MessageKind", "ViewGraph", "view_graph"]

MessageKind = Literal["convolution", "cross_attention", "self_attention"]


@dataclass(frozen=True, kw_only=True)
class ViewGraph:
    """Directed edges between views.

    Attributes:
        senders: for each receiving view, the views it hears, in a fixed order.
        weights: for each receiving view, the factor on the sum of its messages.
        wrapped: a ring over all views by index, without a hub.
        message: what a receiver's convolutions get: the sender's hidden maps, or these seen through
            attention in which the receiver's pixels ask (cross) or the sender's own (self).
    """

    senders: tuple[tuple[int, ...], ...]
    weights: tuple[float, ...]
    wrapped: bool = False
    message: MessageKind = "convolution"

    @property
    def views(self) -> int:
        """Number of views."""
        return len(self.senders)


def view_graph(name: str, views: int) -> ViewGraph:
    """A published graph by its name (Multi-Flow's ablation), generalised to V views.

    View 0 is the hub (the top view); views 1..V-1 form a ring.

    Raises:
        ConfigError: unknown name, a graph whose published code is faulty, or no views.
    """
    if views < 1:
        raise ConfigError("a part needs at least one view")
    if name in _REFUSED:
        raise ConfigError(f"graph '{name}' is refused: {_REFUSED[name]}; use cs_neigh")
    if name not in GRAPHS:
        raise ConfigError(f"unknown graph '{name}'; allowed: {', '.join(GRAPHS)}")
    edges, factor, message = GRAPHS[name]
    senders = edges(views)
    weights = tuple(factor(len(heard)) for heard in senders)
    return ViewGraph(senders=senders, weights=weights, wrapped=name == "cs_wrapped", message=message)


Senders = tuple[tuple[int, ...], ...]


def _mean(count: int) -> float:
    return 1.0 / count if count else 0.0


def _sum(count: int) -> float:
    return 1.0 if count else 0.0


def _ring(view: int, views: int) -> tuple[int, ...]:
    """The neighbours of a side view among the side views 1..V-1, without repeats."""
    sides = views - 1
    around = [(view - 1 + step) % sides + 1 for step in (-1, 1)]
    return tuple(dict.fromkeys(n for n in around if n != view))


def _star_and_ring(views: int) -> Senders:
    return tuple(tuple(range(1, views)) if v == 0 else (0, *_ring(v, views)) for v in range(views))


def _star(views: int) -> Senders:
    return tuple(tuple(range(1, views)) if v == 0 else (0,) for v in range(views))


def _ring_only(views: int) -> Senders:
    return tuple(() if v == 0 else _ring(v, views) for v in range(views))


def _separate(views: int) -> Senders:
    return ((),) * views


def _wrapped(views: int) -> Senders:
    around = ([(v - 1) % views, (v + 1) % views] for v in range(views))
    return tuple(tuple(dict.fromkeys(n for n in pair if n != v)) for v, pair in enumerate(around))


GRAPHS: dict[str, tuple[Callable[[int], Senders], Callable[[int], float], MessageKind]] = {
    "cs_neigh": (_star_and_ring, _mean, "convolution"),
    "cs_top": (_star, _mean, "convolution"),
    "cs_neigh_only": (_ring_only, _mean, "convolution"),
    "cs_seperated": (_separate, _mean, "convolution"),
    "cs_wrapped": (_wrapped, _sum, "convolution"),
    "cs_att_cross": (_star_and_ring, _mean, "cross_attention"),
    "cs_att_self": (_star_and_ring, _mean, "self_attention"),
}

_REFUSED = {
    "cs_naive": "the published code adds view 2's running output into views 3 and 4, a slip",
    "cs_neigh_random": "its random wiring is not recorded in the checkpoint",
}
