"""A mask whose shapes stand in an export of annotations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgeflow.contracts.datasets.annotated.brush_strokes import Brush, decode_brush
from edgeflow.contracts.datasets.annotated.shapes import decode_run_lengths, draw_polygon, run_lengths_of
from edgeflow.contracts.image_files.mask_sources import MaskSource
from edgeflow.contracts.image_files.masks import Mask
from edgeflow.errors import DataError

__all__ = ["DrawnMask", "Polygon", "Runs", "Shape", "shapes_of"]

Polygon = npt.NDArray[np.float32]
"""Corners (n, 2), x and y in pixels."""


@dataclass(frozen=True)
class Runs:
    """Run lengths, compressed as text or as numbers, and the height and width that they are for."""

    counts: str | tuple[int, ...]
    size: tuple[int, int]


Shape = Polygon | Runs | Brush


@dataclass(frozen=True, eq=False)
class DrawnMask(MaskSource):
    """All shapes that were drawn into one image; a pixel is marked where any of them marks it.

    Attributes:
        export: the file that holds them.
        image: the image's name in it.
        height, width: of the image, as the export says.
    """

    export: Path
    image: str
    height: int
    width: int
    shapes: tuple[Shape, ...]

    def __str__(self) -> str:
        return f"{self.export} (image {self.image})"

    def read(self) -> Mask:
        """All shapes, bool (H, W).

        Raises:
            DataError: run lengths that do not fit the image.
        """
        mask = np.zeros(self.size(), np.bool_)
        for shape in self.shapes:
            if isinstance(shape, Runs | Brush):
                mask |= self._decoded(shape)
            else:
                draw_polygon(mask, shape)
        return mask

    def size(self) -> tuple[int, int]:
        """Height and width that the export says."""
        return self.height, self.width

    @property
    def files(self) -> Sequence[Path]:
        """The export alone."""
        return (self.export,)

    def _decoded(self, runs: Runs | Brush) -> Mask:
        if runs.size != self.size():
            raise DataError(
                f"mask {self}: is for {runs.size[1]}x{runs.size[0]} pixels, its image has "
                f"{self.width}x{self.height}; export the annotations again"
            )
        try:
            if isinstance(runs, Brush):
                return decode_brush(runs.packed, self.size())
            counts = run_lengths_of(runs.counts) if isinstance(runs.counts, str) else runs.counts
            return decode_run_lengths(counts, self.size())
        except (ValueError, OverflowError) as cause:
            raise DataError(f"mask {self}: {cause}; export the annotations again") from cause


def shapes_of(segmentation: Any) -> list[Shape]:
    """The shapes of one annotation's ``segmentation``; none where it is only a box.

    Raises:
        ValueError: neither polygons nor run lengths.
    """
    if not segmentation:
        return []
    if isinstance(segmentation, dict):
        return [_runs_of(segmentation)]
    if not isinstance(segmentation, list):
        raise ValueError("its segmentation is neither polygons nor run lengths")  # noqa: TRY004 - of a file
    flat = [segmentation] if isinstance(segmentation[0], int | float) else segmentation
    return [_polygon_of(numbers) for numbers in flat]


def _runs_of(segmentation: dict[str, Any]) -> Runs:
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if not isinstance(size, list) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ValueError("its run lengths have no size")
    if isinstance(counts, list) and all(isinstance(count, int) for count in counts):
        return Runs(tuple(counts), (size[0], size[1]))
    if isinstance(counts, str):
        return Runs(counts, (size[0], size[1]))
    raise ValueError("its run lengths are neither numbers nor text")


def _polygon_of(numbers: Any) -> Polygon:
    try:
        corners = np.asarray(numbers, np.float32)
    except (TypeError, ValueError) as cause:
        raise ValueError("a polygon holds what is no number") from cause
    if corners.ndim != 1 or corners.size < 6 or corners.size % 2 or not np.isfinite(corners).all():
        raise ValueError("a polygon needs three corners or more, each an x and a y")
    return corners.reshape(-1, 2)
