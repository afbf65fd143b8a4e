"""Test-time augmentation of the foreground network: the mean of six looks at an image."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgeflow.errors import DataError
from edgeflow_export.models.mvanet import SIZE_MULTIPLE

__all__ = ["SixfoldAverage"]

SCALES = (0.75, 1.0, 1.25)
# Every scaled side has to be one that MVANet takes.
AUGMENTED_MULTIPLE = 4 * SIZE_MULTIPLE  # the recipe's AUGMENTED_MULTIPLE


class SixfoldAverage(nn.Module):
    """Mean logits over the image and its mirror image, each at three scales, as published.

    An image and its mirror image go through the network in one batch; that gives the same logits as one
    after the other.

    Args:
        network: normalised images (N, 3, H, W) to logits (N, 1, H, W).
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Normalised images (N, 3, H, W) to mean logits (N, 1, H, W).

        Raises:
            DataError: a side is no multiple of 512.
        """
        height, width = (int(size) for size in images.shape[-2:])
        if height % AUGMENTED_MULTIPLE or width % AUGMENTED_MULTIPLE:
            raise DataError(
                f"test-time augmentation needs image sides that are multiples of {AUGMENTED_MULTIPLE}, "
                f"got {width}x{height}; resize the image (published: 1024x1024)"
            )
        both = torch.cat([images, images.flip(-1)])
        looks: list[Tensor] = []
        for scale in SCALES:
            scaled = _resized(both, int(height * scale), int(width * scale))
            plain, mirrored = _resized(self.network(scaled), height, width).chunk(2)
            looks += [plain, mirrored.flip(-1)]
        return torch.stack(looks).mean(0)


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    if (int(x.shape[-2]), int(x.shape[-1])) == (height, width):
        return x
    return F.interpolate(x, size=(height, width), mode="bilinear", align_corners=False)
