"""The trained flow rewritten for inference by exact algebra: the same numbers, far fewer operations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgeflow_export.conversion.rewriting.flow import InferenceFlow
from edgeflow_export.conversion.rewriting.forms import GraphForms
from edgeflow_export.conversion.rewriting.nearest_patch import NearestPatch
from edgeflow_export.conversion.rewriting.stem import with_eight_bit_stem
from edgeflow_export.models.inspection_model import InspectionModel
from edgeflow_export.models.multiflow import MultiFlow
from edgeflow_export.models.patch_memory import PatchMemory
from edgeflow_export.models.tiled_extractor import TiledExtractor

__all__ = ["InferenceModel", "fold_normalisation", "rewrite"]


class InferenceModel(nn.Module):
    """uint8 images of one part (V, H, W, 3) to anomaly maps (V, h, w), constants folded.

    A distilled foreground's logits (V, h, w) come second.

    Args:
        size: height and width of the images; None where no stem for 8-bit images is looked for.

    Attributes:
        flow: standardised features (V, C, h, w) to maps (V, h, w), by a flow or a patch memory.
        forms: what of the rewriting took which form.
    """

    input_scale: Tensor
    input_offset: Tensor
    feature_scale: Tensor
    feature_offset: Tensor

    def __init__(self, model: InspectionModel, size: tuple[int, int] | None = None) -> None:
        super().__init__()
        image = fold_normalisation(model.image_mean, model.image_std, unit=255)
        stemmed, reason = (
            (None, "not looked for") if size is None else _stemmed(model.extractor, *image, size)
        )
        self.extractor = stemmed or model.extractor
        self.normalises = stemmed is None
        self.flow: InferenceFlow | NearestPatch = _inference_head(model.head)
        self.mask_head = model.mask_head
        self.forms = _forms(self.flow, reason)
        features = fold_normalisation(model.feature_mean, model.feature_std)
        for name, (scale, offset) in (("input", image), ("feature", features)):
            self.register_buffer(f"{name}_scale", scale)
            self.register_buffer(f"{name}_offset", offset)

    def raw_features(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) to the extractor's features (V, C, h, w)."""
        if self.normalises:
            x = images.permute(0, 3, 1, 2).float() * self.input_scale + self.input_offset
        else:
            x = images.float().permute(0, 3, 1, 2)
        features: Tensor = self.extractor(x)
        return features

    def standardised(self, raw: Tensor) -> Tensor:
        """The extractor's features (V, C, h, w) as the flow reads them."""
        return raw * self.feature_scale + self.feature_offset

    def features(self, images: Tensor) -> Tensor:
        """uint8 images (V, H, W, 3) to standardised features (V, C, h, w)."""
        return self.standardised(self.raw_features(images))

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, H, W, 3) to maps, and mask logits where the model has a head."""
        raw = self.raw_features(images)
        maps = self.flow(self.standardised(raw))
        return (maps,) if self.mask_head is None else (maps, self.mask_head(raw))


def _stemmed(
    extractor: nn.Module, scale: Tensor, offset: Tensor, size: tuple[int, int]
) -> tuple[nn.Module | None, str]:
    """``with_eight_bit_stem`` of the network that sees the images: of tiles, the one inside."""
    if not isinstance(extractor, TiledExtractor):
        return with_eight_bit_stem(extractor, scale, offset, size)
    row, column = extractor.grid.places[0]
    changed, reason = with_eight_bit_stem(extractor.network, scale, offset, (row.stop, column.stop))
    return (None if changed is None else extractor.around(changed)), reason


def rewrite(model: InspectionModel, size: tuple[int, int] | None = None) -> InferenceModel:
    """The inference form of a trained model, in evaluation mode; equal up to rounding.

    Args:
        size: height and width of the images that the model will see; see :class:`InferenceModel`.
    """
    with torch.no_grad():
        return InferenceModel(model, size).eval()


def _inference_head(head: MultiFlow | PatchMemory) -> InferenceFlow | NearestPatch:
    return NearestPatch(head) if isinstance(head, PatchMemory) else InferenceFlow(head)


def _forms(head: InferenceFlow | NearestPatch, stem: str) -> GraphForms:
    if isinstance(head, NearestPatch):
        return GraphForms(second=(), permutation=None, stem=stem)
    return GraphForms(second=head.second, permutation=head.permutation, stem=stem)


def fold_normalisation(mean: Tensor, std: Tensor, unit: float = 1.0) -> tuple[Tensor, Tensor]:
    """Scale and offset with ``x * scale + offset == (x / unit - mean) / std``."""
    return 1 / (unit * std), -mean / std
