"""Views of a part that its product's bundle has; all cameras of the box may take every part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgeflow.capture.view_set import ViewSet

__all__ = ["own_views"]


def own_views(view_set: ViewSet, views: Sequence[str]) -> ViewSet:
    """Return a part with these views alone, in their order; faults of the whole set stay.

    Args:
        views: of the bundle, in its order.
    """
    if tuple(view_set.frames) == tuple(views) and not view_set.missing:
        return view_set
    return replace(
        view_set,
        frames={view: view_set.frames[view] for view in views if view in view_set.frames},
        missing=tuple(view for view in views if view in view_set.missing or _is_lost(view, view_set)),
    )


def _is_lost(view: str, view_set: ViewSet) -> bool:
    """Return True for a view that a part did not wait for, since its bundle had it not yet."""
    return bool(view_set.frames) and view not in view_set.frames
