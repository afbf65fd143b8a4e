"""Sources of a view's foreground mask on the box: kept in the bundle, or computed from its image."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from edgeflow.backends.runner import GraphRunner
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Preprocessing, ViewSpec
from edgeflow.contracts.mask_postprocessing import foreground_masks
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import Masks

__all__ = ["FixedForeground", "ForegroundSource", "NetworkForeground"]


class ForegroundSource(Protocol):
    """Masks of single views.

    Attributes:
        costly: whether a mask is worth avoiding where it cannot change the verdict.
    """

    costly: bool

    def mask(self, view: ViewSpec, index: int, image: RgbImage) -> Masks:
        """The mask (h, w) of one view at map size.

        Args:
            index: the view's place on the first axis of the maps.
            image: the camera's image, uint8 (H, W, 3).

        Raises:
            DataError: the image does not fit the view's crop, or a logit is not finite.
            DeviceError: the back end failed.
        """

    def close(self) -> None:
        """Release the device; safe to call twice."""


class FixedForeground:
    """One mask per view, for parts that always lie the same way.

    Args:
        masks: uint8 (V, h, w).
    """

    costly = False

    def __init__(self, masks: Masks) -> None:
        self._masks = masks

    def mask(self, view: ViewSpec, index: int, image: RgbImage) -> Masks:  # noqa: ARG002 - the same for all
        """Return the fixed mask (h, w) of a view."""
        mask: Masks = self._masks[index]
        return mask

    def close(self) -> None:
        """Nothing to release."""


class NetworkForeground:
    """A foreground network as a graph: uint8 (1, size, size, 3) to logits (1, size, size).

    Args:
        size: side of the network's image.
        map_size: height and width of the anomaly maps.
    """

    costly = True

    def __init__(self, runner: GraphRunner, size: int, map_size: tuple[int, int]) -> None:
        self._runner = runner
        self._spec = Preprocessing(height=size, width=size)
        self._map_size = map_size

    def mask(self, view: ViewSpec, index: int, image: RgbImage) -> Masks:  # noqa: ARG002 - one graph for all
        """Return the network's mask (h, w) of one image."""
        (logits, *_) = self._runner.run(prepare(image, view, self._spec)[np.newaxis])
        mask: Masks = foreground_masks(logits, *self._map_size)[0]
        return mask

    def close(self) -> None:
        """Release the device."""
        self._runner.close()
