"""The bank of a patch memory: patches of normal parts, thinned out to those that lie farthest apart."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from edgeflow.contracts.scoring import Masks
from edgeflow.errors import DataError
from edgeflow_export.features.feature_cache import FeatureStore
from edgeflow_export.features.statistics import Standardisation
from edgeflow_export.models.patch_memory import MemoryShape, PatchMemory
from edgeflow_export.progress import progress_bar
from edgeflow_export.recipe import PatchMemorySpec

__all__ = ["cross_fitted_maps", "fill_memory", "k_centres"]

CANDIDATES = 50_000
"""Patches of a view among which the bank is chosen, unless it is larger than a quarter of them."""


def fill_memory(
    store: FeatureStore,
    standardise: Standardisation,
    spec: PatchMemorySpec,
    *,
    seed: int,
    masks: Masks | None = None,
    progress: bool = True,
) -> PatchMemory:
    """A patch memory of normal parts, in evaluation mode; one view is in memory at a time.

    Args:
        masks: foreground uint8 (n, V, h, w) of the store's parts; background is not remembered.

    Raises:
        DataError: a view without foreground.
    """
    views, channels = store.shape[:2]
    patches_of = PatchMemory(_shape(channels, views, 0, spec)).patches
    banks = []
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task("patch memory", total=views, note="")
        for view in range(views):
            generator = torch.Generator().manual_seed(seed * views + view)
            candidates = torch.cat(
                [
                    patches_of(features).flatten(2)[0].T[_drawn(where, len(store), spec, generator)]
                    for features, where in _of_view(store, standardise, view, masks)
                ]
            )
            if not len(candidates):
                raise DataError(
                    f"view {view + 1}: no pixel of the training parts is foreground; check the masks"
                )
            banks.append(_thinned(candidates, spec, generator))
            bar.update(task, advance=1)
    memory = PatchMemory(_shape(channels, views, max(map(len, banks)), spec))
    # Views with fewer patches repeat one of theirs, which changes no distance.
    memory.bank.copy_(torch.stack([_padded(bank, memory.shape.patches) for bank in banks]))
    return memory.eval()


def cross_fitted_maps(
    store: FeatureStore, standardise: Standardisation, spec: PatchMemorySpec, *, seed: int
) -> list[Tensor]:
    """Maps (V, h, w) of all parts, each by a memory of every other part: its own patches are not in it.

    In its own memory a part's distances are 0, which says nothing of parts to come.
    """
    maps: dict[int, Tensor] = {}
    for own in (0, 1):
        others = tuple(store.paths[1 - own :: 2])
        memory = fill_memory(
            FeatureStore(paths=others, shape=store.shape), standardise, spec, seed=seed, progress=False
        )
        with torch.inference_mode():
            for index in range(own, len(store), 2):
                maps[index] = memory(standardise(store.batch([index])[0]))
    return [maps[index] for index in range(len(store))]


def k_centres(points: Tensor, count: int, first: int) -> list[int]:
    """Indices of points (n, d) that cover all others: each is the farthest from those chosen before.

    Fewer than ``count`` where every other point equals a chosen one.
    """
    squares = points.square().sum(1)
    nearest = torch.full_like(squares, math.inf)
    chosen = [first]
    while len(chosen) < count:
        centre = chosen[-1]
        distances = squares - 2 * (points @ points[centre]) + squares[centre]
        distances[centre] = 0  # rounding must not let a point be chosen again
        nearest = torch.minimum(nearest, distances)
        farthest = int(nearest.argmax())
        if nearest[farthest] <= 0:
            break
        chosen.append(farthest)
    return chosen


def _shape(channels: int, views: int, patches: int, spec: PatchMemorySpec) -> MemoryShape:
    return MemoryShape(channels=channels, views=views, patches=patches, averaging=spec.averaging)


def _of_view(
    store: FeatureStore, standardise: Standardisation, view: int, masks: Masks | None
) -> Iterator[tuple[Tensor, Tensor]]:
    """One view's standardised features (1, C, h, w) of each part, and the places (P,) that count."""
    pixels = store.shape[2] * store.shape[3]
    for index, features in enumerate(store):
        where = torch.arange(pixels)
        if masks is not None:
            where = where[torch.from_numpy(masks[index, view].reshape(-1) != 0)]
        yield standardise(features)[view : view + 1], where


def _drawn(where: Tensor, parts: int, spec: PatchMemorySpec, generator: torch.Generator) -> Tensor:
    """The places of one part that are candidates: all, or its share of them drawn at random."""
    if spec.patches is None:
        return where
    share = -(-max(CANDIDATES, 4 * spec.patches) // parts)
    if len(where) <= share:
        return where
    return where[torch.randperm(len(where), generator=generator)[:share]]


def _thinned(candidates: Tensor, spec: PatchMemorySpec, generator: torch.Generator) -> Tensor:
    """The patches (K, C) that stay; distances among candidates are those of a random projection."""
    if spec.patches is None or len(candidates) <= spec.patches:
        return candidates
    channels = candidates.shape[1]
    points = candidates
    if spec.projection < channels:
        points = candidates @ torch.randn(channels, spec.projection, generator=generator)
    first = int(torch.randint(len(points), (1,), generator=generator))
    return candidates[k_centres(points, spec.patches, first)]


def _padded(bank: Tensor, patches: int) -> Tensor:
    return torch.cat([bank, bank[:1].expand(patches - len(bank), -1)])
