"""The interface of every inference back end: one compiled graph on one device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.scoring import FloatArray

__all__ = ["DEFAULT_PLACEMENT", "ActualPlacement", "GraphRunner", "Placement"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """The device that a graph is to run on, and how; :class:`ActualPlacement` says where it then runs.

    Attributes:
        device: of the back end, such as CPU or GPU; with OpenVINO also AUTO:GPU,CPU and the like.
        threads: on the processor; 0 for one per core.
        streams: inferences beside each other; more than one helps only callers that request several at once.
        cache_dir: folder for compiled graphs; None for no cache.
    """

    device: str = "CPU"
    threads: int = 0
    streams: int = 1
    cache_dir: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values of this placement, for the job of a child process."""
        return {
            "device": self.device,
            "threads": self.threads,
            "streams": self.streams,
            "cache_dir": None if self.cache_dir is None else str(self.cache_dir),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Placement:
        """The placement that :meth:`to_json` wrote."""
        cache_dir = values["cache_dir"]
        return cls(
            device=values["device"],
            threads=values["threads"],
            streams=values["streams"],
            cache_dir=None if cache_dir is None else Path(cache_dir),
        )


DEFAULT_PLACEMENT = Placement()
"""The processor with one thread per core, one stream and no model cache."""


@dataclass(frozen=True, kw_only=True)
class ActualPlacement:
    """Device and settings with which a compiled graph really runs, as its back end reports.

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
    def placement(self) -> ActualPlacement:
        """Device and settings with which the graph really runs."""

    def run(self, images: npt.NDArray[np.uint8]) -> tuple[FloatArray, ...]:
        """uint8 (N, H, W, 3) to the graph's outputs, float32 (N, h, w) each, in the manifest's order.

        Raises:
            DeviceError: the back end failed.
        """

    def close(self) -> None:
        """Release the device; safe to call twice."""
