"""The whole trained model as one torch module: uint8 images of a part to anomaly maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeflow_export.models.mask_head import MaskHead
from edgeflow_export.models.multiflow import MultiFlow, nll_map
from edgeflow_export.models.patch_memory import PatchMemory

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "InspectionModel"]

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class InspectionModel(nn.Module):
    """Normalisation, frozen extractor, feature standardisation and head.

    Args:
        extractor: normalised RGB (N, 3, H, W) to features (N, C, h, w).
        feature_mean, feature_std: (C,), or (V, C, h, w) where every view and pixel has its own; zeros and
            ones where features are not standardised.
        head: standardised features to maps; kept as ``flow`` or as ``memory``, and None in the other.
        mask_head: a distilled foreground on the extractor's features.
    """

    image_mean: Tensor
    image_std: Tensor
    feature_mean: Tensor
    feature_std: Tensor

    def __init__(
        self,
        extractor: nn.Module,
        feature_mean: Tensor,
        feature_std: Tensor,
        head: MultiFlow | PatchMemory,
        mask_head: MaskHead | None = None,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.flow = head if isinstance(head, MultiFlow) else None
        self.memory = head if isinstance(head, PatchMemory) else None
        self.mask_head = mask_head
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)
        for name, values in (("feature_mean", feature_mean), ("feature_std", feature_std)):
            self.register_buffer(name, (values.view(1, -1, 1, 1) if values.ndim == 1 else values).float())

    @property
    def head(self) -> MultiFlow | PatchMemory:
        """The flow or the patch memory."""
        head = self.memory if self.flow is None else self.flow
        assert head is not None  # noqa: S101 - it is one of the two
        return head

    def maps(self, features: Tensor) -> Tensor:
        """Standardised features (V, C, h, w) of one part to anomaly maps (V, h, w)."""
        head = self.head
        if isinstance(head, PatchMemory):
            maps: Tensor = head(features)
            return maps
        return nll_map(head(features.unsqueeze(0)))[0]

    def raw_features(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) of one part, red first, to the extractor's features (V, C, h, w)."""
        x = images.permute(0, 3, 1, 2).float() / 255
        features: Tensor = self.extractor((x - self.image_mean) / self.image_std)
        return features

    def standardised(self, raw: Tensor) -> Tensor:
        """The extractor's features (V, C, h, w) as the head reads them."""
        return (raw - self.feature_mean) / self.feature_std

    def features(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) of one part, red first, to standardised features (V, C, h, w)."""
        return self.standardised(self.raw_features(images))

    def forward(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) of one part to anomaly maps (V, h, w)."""
        return self.outputs(images)[0]

    def outputs(self, images: Tensor) -> tuple[Tensor, ...]:
        """Anomaly maps (V, h, w) and, of a model with a distilled foreground, its logits (V, h, w)."""
        raw = self.raw_features(images)
        maps = self.maps(self.standardised(raw))
        return (maps,) if self.mask_head is None else (maps, self.mask_head(raw))
