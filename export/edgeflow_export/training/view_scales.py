"""Scales of view scores, from training parts: by them, views of unlike normal scores count alike."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from edgeflow.contracts.scoring import (
    FloatArray,
    Masks,
    PixelStatistics,
    Scoring,
    ViewScale,
    masked,
    standardise,
    view_scores,
)
from edgeflow_export.features.feature_cache import FeatureStore
from edgeflow_export.models.inspection_model import InspectionModel

__all__ = ["training_view_scores", "view_scales"]

_FLOOR = 0.5
"""A deviation counts as at least this share of the mean one: no view is stretched farther."""


def training_view_scores(
    module: InspectionModel,
    store: FeatureStore,
    maps: Iterable[Tensor],
    scoring: Scoring,
    statistics: PixelStatistics | None,
    masks: Masks | None,
) -> FloatArray:
    """View scores (n, V) of parts from their features.

    Args:
        store: raw features of n parts.
        maps: of these parts (V, h, w), as of parts that the model has not seen.
        masks: foreground (n, V, h, w); a model with a distilled head takes its own instead.
    """
    found = []
    with torch.inference_mode():
        for index, (features, own) in enumerate(zip(store, maps, strict=True)):
            mask = None if masks is None else masks[index]
            if module.mask_head is not None:
                mask = np.asarray(module.mask_head(features).numpy() > 0, np.uint8)
            found.append(view_scores(masked(standardise(own.numpy(), statistics), mask), scoring))
    return np.stack(found)


def view_scales(views: FloatArray) -> tuple[ViewScale, ...]:
    """Scales that bring every view to the mean and the deviation that all views share.

    The shared ones are the means over the views, so that part scores stay in the unit of view scores.

    Args:
        views: (n, V) scores of normal parts.
    """
    centres, deviations = views.mean(0, dtype=np.float64), views.std(0, dtype=np.float64)
    shared = float(deviations.mean())
    if not shared > 0:
        return tuple(ViewScale(gain=1.0, offset=0.0) for _ in centres)
    gains = shared / np.maximum(deviations, _FLOOR * shared)
    offsets = centres.mean() - centres * gains
    return tuple(
        ViewScale(gain=float(gain), offset=float(offset)) for gain, offset in zip(gains, offsets, strict=True)
    )
