"""The interface of every inference back end: one compiled graph on one device."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.scoring import FloatArray

__all__ = ["GraphRunner", "Placement"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where a compiled graph really runs, as its back end says.

    Attributes:
        device: such as CPU or GPU.0; of AUTO and HETERO what they took, several joined by a comma.
        precision: of the arithmetic that the graph leaves open, such as f32.
        threads: on the processor; 0 where the device has its own.
        streams: inferences that the device would run beside each other.
    """

    device: str
    precision: str
    threads: int
    streams: int


class GraphRunner(Protocol):
    """One compiled graph on one device."""

    @property
    def placement(self) -> Placement:
        """Where it really runs."""

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        """uint8 (N, H, W, 3) to the graph's outputs, float32 (N, h, w) each, in the manifest's order.

        Raises:
            DeviceError: the back end failed.
        """

    def close(self) -> None:
        """Release the device; safe to call twice."""
