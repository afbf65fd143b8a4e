"""Statistics of normal parts: deviations of feature channels, and of every pixel's score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from edgeflow.contracts.scoring import PixelStatistics
from edgeflow.errors import DataError
from edgeflow_export.features.feature_cache import FeatureStore

__all__ = ["Standardisation", "feature_statistics", "pixel_statistics"]

# A channel or pixel that hardly varies among the training parts must not outweigh all others.
_FLOOR = 0.05
# Deviations of single pixels are known from one value per part: this share of the channel's is added.
_SHRINKAGE = 0.1


def feature_statistics(store: FeatureStore, mode: Literal["none", "channel", "position"]) -> Standardisation:
    """Mean and deviation of the features of all parts.

    Args:
        mode: ``channel`` over all parts, views and pixels; ``position`` over the parts alone.

    Raises:
        DataError: features that are not finite, or do not vary at all.
    """
    shape = (1, store.shape[1], 1, 1)
    if mode == "none":
        return Standardisation(mean=torch.zeros(shape), std=torch.ones(shape))
    total = torch.zeros(store.shape, dtype=torch.float64)
    squares = torch.zeros(store.shape, dtype=torch.float64)
    for path, features in zip(store.paths, store, strict=True):
        if not torch.isfinite(features).all():
            raise DataError(f"{path}: these cached features are not finite; delete the file and train again")
        total += features
        squares += features.double().square()
    mean, square = total / len(store), squares / len(store)
    channel_mean = mean.mean((0, 2, 3), keepdim=True)
    channel_std = _deviation(channel_mean, square.mean((0, 2, 3), keepdim=True))
    if not float(channel_std.max()) > 0:
        raise DataError("the extractor gives the same features everywhere; check its weights and the images")
    channel_std = channel_std.clamp(min=_FLOOR * float(channel_std[channel_std > 0].median()))
    if mode == "channel":
        return Standardisation(mean=channel_mean.float(), std=channel_std.float())
    std = _deviation(mean, square) + _SHRINKAGE * channel_std
    return Standardisation(mean=mean.float(), std=std.float())


def _deviation(mean: Tensor, square: Tensor) -> Tensor:
    return (square - mean.square()).clamp(min=0).sqrt()


def pixel_statistics(maps: Iterable[Tensor]) -> PixelStatistics:
    """Mean and deviation (V, h, w) of every pixel over the maps (V, h, w) of normal parts."""
    total = squares = torch.zeros(())
    count = 0
    with torch.inference_mode():
        for each in maps:
            values = each.double()
            total, squares, count = total + values, squares + values.square(), count + 1
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt().numpy()
    std = np.maximum(std, max(_FLOOR * float(np.median(std)), float(np.finfo(np.float32).tiny)))
    return PixelStatistics(mean=mean.float().numpy(), std=np.asarray(std, np.float32))


@dataclass(frozen=True, kw_only=True)
class Standardisation:
    """Mean and deviation of features, each (1, C, 1, 1), or (V, C, h, w) for every view and pixel."""

    mean: Tensor
    std: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Features (..., V, C, h, w) in deviations from their mean."""
        return (features - self.mean) / self.std

    def to(self, device: str) -> Standardisation:
        """Return a copy on another device."""
        return Standardisation(mean=self.mean.to(device), std=self.std.to(device))
