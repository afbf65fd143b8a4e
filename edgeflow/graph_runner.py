"""What every inference back end offers: one compiled graph on one device."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.scoring import FloatArray

__all__ = ["GraphRunner"]


class GraphRunner(Protocol):
    """One compiled graph on one device."""

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        """uint8 (N, H, W, 3) to the graph's outputs, float32 (N, h, w) each, in the manifest's order.

        Raises:
            DeviceError: the back end failed.
        """

    def close(self) -> None:
        """Release the device; safe to call twice."""
