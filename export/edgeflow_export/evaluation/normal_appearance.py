"""What a flow holds to be normal: features drawn towards its most likely ones, by the inverse pass."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from edgeflow_export.models.multiflow import MultiFlow

__all__ = ["NormalAppearance", "normal_appearance"]


@dataclass(frozen=True, kw_only=True)
class NormalAppearance:
    """Nearest normal features of parts, as the flow sees it.

    Attributes:
        features: (B, V, C, h, w).
        difference: root mean square over channels of what had to change, (B, V, h, w).
    """

    features: Tensor
    difference: Tensor


def normal_appearance(flow: MultiFlow, features: Tensor, *, limit: float = 0.0) -> NormalAppearance:
    """Take features to latents, bring the latents near their mean 0, and take them back.

    Args:
        features: (B, V, C, h, w), standardised as in training.
        limit: latents are clipped to so many standard deviations; 0 gives the features that every latent
            at its mean stands for, whatever the part. Latents within the limit change nothing.
    """
    with torch.inference_mode():
        normal = flow.inverse(flow(features).z.clamp(-limit, limit))
        return NormalAppearance(features=normal, difference=(features - normal).square().mean(2).sqrt())
