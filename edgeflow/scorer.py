"""A view set's images to anomaly maps and raw scores, whatever back end computes the maps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Manifest
from edgeflow.contracts.preprocess import prepare
from edgeflow.contracts.scoring import FloatArray, PixelStatistics, part_score, standardise, view_scores

__all__ = ["GraphRunner", "Scorer", "Scores"]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Raw scores of one part.

    Attributes:
        inputs: the model images, uint8 (V, H, W, 3).
        maps: anomaly maps, float32 (V, h, w), standardised where the bundle says so.
        views: view → raw score.
        part: raw score.
    """

    inputs: npt.NDArray[np.uint8]
    maps: FloatArray
    views: Mapping[str, float]
    part: float


class GraphRunner(Protocol):
    """One compiled graph on one device."""

    def run(self, images: npt.NDArray[np.uint8]) -> FloatArray:
        """uint8 (V, H, W, 3) to anomaly maps float32 (V, h, w).

        Raises:
            DeviceError: the back end failed.
        """

    def close(self) -> None:
        """Release the device; safe to call twice."""


class Scorer:
    """Preprocessing, graph, pooling: the same steps at calibration, verification and on the line."""

    def __init__(
        self, manifest: Manifest, runner: GraphRunner, statistics: PixelStatistics | None = None
    ) -> None:
        self._manifest = manifest
        self._runner = runner
        self._statistics = statistics

    def score(self, images: Mapping[str, RgbImage]) -> Scores:
        """Score one part.

        Args:
            images: one uint8 (H, W, 3) image per view of the bundle.

        Raises:
            DataError: an image does not fit the bundle's preprocessing.
            DeviceError: the back end failed.
        """
        manifest = self._manifest
        inputs = np.stack([prepare(images[v.id], v, manifest.preprocessing) for v in manifest.views])
        maps = standardise(self._runner.run(inputs), self._statistics)
        views = view_scores(maps, manifest.scoring)
        return Scores(
            inputs=inputs,
            maps=maps,
            views={view: float(score) for view, score in zip(manifest.view_ids, views, strict=True)},
            part=float(part_score(views, manifest.scoring)),
        )

    def close(self) -> None:
        """Release the device."""
        self._runner.close()
