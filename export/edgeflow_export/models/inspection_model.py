"""The whole trained model as one torch module: uint8 images of a part to anomaly maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeflow_export.models.mask_head import MaskHead
from edgeflow_export.models.multiflow import MultiFlow, nll_map

__all__ = ["IMAGE_MEAN", "IMAGE_STD", "InspectionModel"]

IMAGE_MEAN = (0.485, 0.456, 0.406)
IMAGE_STD = (0.229, 0.224, 0.225)


class InspectionModel(nn.Module):
    """Normalisation, frozen extractor, feature standardisation and flow.

    Args:
        extractor: normalised RGB (N, 3, H, W) to features (N, C, h, w).
        feature_mean, feature_std: (C,), or (V, C, h, w) where every view and pixel has its own; zeros and
            ones where features are not standardised.
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
        flow: MultiFlow,
        mask_head: MaskHead | None = None,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.flow = flow
        self.mask_head = mask_head
        self.register_buffer("image_mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)
        for name, values in (("feature_mean", feature_mean), ("feature_std", feature_std)):
            self.register_buffer(name, (values.view(1, -1, 1, 1) if values.ndim == 1 else values).float())

    def raw_features(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) of one part, red first, to the extractor's features (V, C, h, w)."""
        x = images.permute(0, 3, 1, 2).float() / 255
        features: Tensor = self.extractor((x - self.image_mean) / self.image_std)
        return features

    def standardised(self, raw: Tensor) -> Tensor:
        """The extractor's features (V, C, h, w) as the flow reads them."""
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
        maps = nll_map(self.flow(self.standardised(raw).unsqueeze(0)))[0]
        return (maps,) if self.mask_head is None else (maps, self.mask_head(raw))
