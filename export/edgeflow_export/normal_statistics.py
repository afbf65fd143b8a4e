"""What normal parts look like: deviations of feature channels, and of every pixel's score."""

from __future__ import annotations

import numpy as np
import torch

from edgeflow.contracts.scoring import PixelStatistics
from edgeflow.errors import DataError
from edgeflow_export.feature_cache import FeatureStore
from edgeflow_export.flow_training import Standardisation
from edgeflow_export.models.multiflow import MultiFlow, nll_map

__all__ = ["channel_statistics", "pixel_statistics"]

# A channel or pixel that hardly varies among the training parts must not outweigh all others.
_FLOOR = 0.05


def channel_statistics(store: FeatureStore) -> Standardisation:
    """Mean and deviation of every channel over all parts, views and pixels.

    Raises:
        DataError: no channel varies at all.
    """
    channels = store.shape[1]
    total, squares = torch.zeros(channels, dtype=torch.float64), torch.zeros(channels, dtype=torch.float64)
    count = 0
    for features in store:
        values = features.double().transpose(0, 1).flatten(1)
        total += values.sum(1)
        squares += values.square().sum(1)
        count += values.shape[1]
    mean = total / count
    std = (squares / count - mean.square()).clamp(min=0).sqrt()
    if not float(std.max()) > 0:
        raise DataError("the extractor gives the same features everywhere; check its weights and the images")
    std = std.clamp(min=_FLOOR * float(std[std > 0].median()))
    return Standardisation(mean=mean.float(), std=std.float())


def pixel_statistics(flow: MultiFlow, store: FeatureStore, standardise: Standardisation) -> PixelStatistics:
    """Mean and deviation (V, h, w) of the negative log-likelihood of every pixel over all parts."""
    total = squares = torch.zeros(())
    with torch.inference_mode():
        for features in store:
            nll = nll_map(flow(standardise(features).unsqueeze(0)))[0].double()
            total, squares = total + nll, squares + nll.square()
    mean = total / len(store)
    std = (squares / len(store) - mean.square()).clamp(min=0).sqrt().numpy()
    std = np.maximum(std, max(_FLOOR * float(np.median(std)), float(np.finfo(np.float32).tiny)))
    return PixelStatistics(mean=mean.float().numpy(), std=np.asarray(std, np.float32))
