"""Foreground masks asked for one by one, only as long as they can still change a part's verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgeflow.contracts.manifest import Scoring
from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    masked,
    part_score,
    pooled,
    smoothed,
    view_bounds,
)

__all__ = ["LazyScores", "score_with_all_masks", "score_with_lazy_masks"]


@dataclass(frozen=True, kw_only=True)
class LazyScores:
    """The scores of a part once its verdict no longer depends on masks that were not asked for.

    The scores with all masks lie between ``lowest`` and ``highest``; ``views`` and ``part`` are exact where
    every view was asked for, and the highest possible ones otherwise.

    Attributes:
        maps: anomaly maps (V, h, w) as they are pooled: masked in the views that were asked for, and blurred.
        views: view scores (V,).
        unmasked: the highest view scores (V,) that any masks could give; ``views`` where masks cost nothing.
        asked: indices of the views whose masks were asked for, in this order.
        empty: those of them without any foreground; nothing is known of such a view's surface.
        lowest, highest: bounds of the part score, a view without foreground counted by its own bounds.
    """

    maps: FloatArray
    views: FloatArray
    unmasked: FloatArray
    part: float
    asked: tuple[int, ...]
    empty: tuple[int, ...]
    lowest: float
    highest: float


def score_with_all_masks(maps: FloatArray, scoring: Scoring, masks: Masks) -> LazyScores:
    """The scores of a part whose masks cost nothing: those of ``score_with_lazy_masks`` that asked for all.

    Args:
        maps: standardised anomaly maps (V, h, w) without masks.
        masks: (V, h, w).
    """
    known = smoothed(masked(maps, masks), scoring)
    views = pooled(known, scoring)
    part = lowest = highest = float(part_score(views, scoring))
    empty = np.flatnonzero(~masks.any((1, 2))).tolist()
    if empty:
        low, high = (np.where(masks.any((1, 2)), views, bound) for bound in view_bounds(maps, scoring))
        lowest, highest = float(part_score(low, scoring)), float(part_score(high, scoring))
    return LazyScores(
        maps=known,
        views=views,
        unmasked=views,
        part=part,
        asked=tuple(range(len(maps))),
        empty=tuple(empty),
        lowest=lowest,
        highest=highest,
    )


def score_with_lazy_masks(
    maps: FloatArray,
    scoring: Scoring,
    mask_of: Callable[[int], Masks] | None,
    is_settled: Callable[[float, float], bool],
) -> LazyScores:
    """Ask for the masks of a part, the view with the highest possible score first.

    Args:
        maps: standardised anomaly maps (V, h, w) without masks.
        mask_of: view index to mask (h, w); may be slow. None where every pixel counts.
        is_settled: whether the verdict is the same for the lowest and the highest part score; never true
            makes every score exact.
    """
    if mask_of is None:
        known = smoothed(maps, scoring)
        views = pooled(known, scoring)
        part = float(part_score(views, scoring))
        return LazyScores(
            maps=known,
            views=views,
            unmasked=views,
            part=part,
            asked=(),
            empty=(),
            lowest=part,
            highest=part,
        )
    low, high = view_bounds(maps, scoring)
    known = smoothed(maps, scoring)
    if known is maps:
        known = maps.copy()
    # What a view counts where its mask is known: its score, also where it has no foreground.
    scores, unmasked = high.copy(), high.copy()
    asked: list[int] = []
    empty: list[int] = []
    for view in np.argsort(-high, kind="stable").tolist():
        if is_settled(float(part_score(low, scoring)), float(part_score(high, scoring))):
            break
        mask = mask_of(view)
        asked.append(view)
        known[view] = smoothed(masked(maps[view], mask), scoring)
        scores[view] = pooled(known[view], scoring)
        if mask.any():
            low[view] = high[view] = scores[view]
        else:
            empty.append(view)
    return LazyScores(
        maps=known,
        views=scores,
        unmasked=unmasked,
        part=float(part_score(scores, scoring)),
        asked=tuple(asked),
        empty=tuple(empty),
        lowest=float(part_score(low, scoring)),
        highest=float(part_score(high, scoring)),
    )
