"""Golden parts: recorded images with what the trained model computes for them."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.manifest import RECORDED, GoldenPart, Scale
from edgeflow.contracts.scoring import FloatArray, Masks
from edgeflow.errors import DataError

__all__ = ["Expected", "GraphScores", "choose_golden", "golden_files"]

_DISTANCE = 0.05
"""From the threshold, on the scale where it is 1.0: nearer parts are poor witnesses of a verdict."""


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The results computed for one part.

    Attributes:
        maps: by the trained model, (V, h, w), before pixel statistics.
        recorded: quantized graph id → its maps.
        part: the trained model's raw part score.
        masks: foreground (V, h, w); None where every pixel counts.
    """

    maps: FloatArray
    recorded: Mapping[str, FloatArray]
    part: float
    masks: Masks | None


@dataclass(frozen=True, kw_only=True)
class GraphScores:
    """Scores of all parts by one graph.

    Attributes:
        parts: raw part scores (n,).
        tolerances: what each part's score may deviate on another processor (n,).
        scale: of the graph's own part threshold.
    """

    parts: FloatArray
    tolerances: FloatArray
    scale: Scale

    @property
    def beyond(self) -> FloatArray:
        """Distances to the threshold (n,), in units of the scaled score; over it where positive."""
        return np.asarray((self.parts - self.scale.threshold) / self._unit, np.float32)

    @property
    def doubt(self) -> FloatArray:
        """The tolerances (n,) in these units."""
        return np.asarray(self.tolerances / self._unit, np.float32)

    @property
    def _unit(self) -> float:
        return self.scale.threshold - self.scale.centre


def choose_golden(graphs: Sequence[GraphScores], count: int) -> list[int]:
    """Indices of parts to carry: of either verdict in turn, the farthest from the threshold.

    Only parts that every graph judges alike, each by its own threshold, and farther from that than its
    tolerance reaches: no box
    may refuse to start for a rounding. Where there is no such part, the one that comes nearest to it.

    Args:
        graphs: the reference first.
    """
    beyond = np.stack([graph.beyond for graph in graphs])
    over, under = np.all(beyond > 0, axis=0), np.all(beyond <= 0, axis=0)
    clear = np.where(
        over | under, np.min(np.abs(beyond) - np.stack([graph.doubt for graph in graphs]), axis=0), -np.inf
    )
    order: list[int] = np.argsort(-np.abs(beyond[0]), kind="stable").tolist()
    eligible = [i for i in order if clear[i] > _DISTANCE]
    if not eligible:
        return [int(np.argmax(clear))]
    kinds = ([i for i in eligible if not over[i]], [i for i in eligible if over[i]])
    chosen: list[int] = []
    for rank in range(count):
        for kind in kinds:
            if rank < len(kind) and len(chosen) < count:
                chosen.append(kind[rank])
    return chosen


def golden_files(
    index: int, part: RecordedPart, views: Sequence[str], expected: Expected
) -> tuple[GoldenPart, dict[str, bytes]]:
    """One golden part's entry in the manifest and its files: the images byte by byte as recorded."""
    files: dict[str, bytes] = {}
    images = {}
    for view in views:
        path = part.images[view]
        name = str(PurePosixPath("golden") / str(index) / f"{view}{path.suffix.lower()}")
        try:
            files[name] = path.read_bytes()
        except OSError as cause:
            raise DataError(f"{path}: cannot be read: {cause.strerror}") from cause
        images[view] = name
    arrays = f"golden/{index}/expected.npz"
    buffer = io.BytesIO()
    content: dict[str, Any] = {f"{RECORDED}{graph}": maps for graph, maps in expected.recorded.items()}
    if expected.masks is not None:
        content["masks"] = expected.masks
    np.savez(buffer, maps=expected.maps, part=np.float32(expected.part), **content)
    files[arrays] = buffer.getvalue()
    return GoldenPart(part_id=part.part_id, images=images, expected=arrays), files
