"""Foreground masks of all parts, computed once and kept on disk."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.scoring import Masks
from edgeflow.errors import DataError
from edgeflow_export.data.array_cache import CachedKind, cache_arrays, read_array
from edgeflow_export.data.dataset import Dataset
from edgeflow_export.masks.teachers import MaskTeacher

__all__ = ["cache_masks"]


def cache_masks(
    parts: Sequence[RecordedPart],
    dataset: Dataset,
    teacher: MaskTeacher,
    size: tuple[int, int],
    *,
    folder: Path,
    progress: bool = True,
) -> Masks:
    """Masks (n, V, h, w) of all parts: those on disk are taken as they are, the others computed.

    Args:
        size: height and width of the feature map.
        folder: the cache; see ``cache_arrays``.

    Raises:
        DataError: an image cannot be decoded, or a view has no foreground at all; it is named.
        StorageError: the disk has too little room, or cannot be written.
    """

    def compute(part: RecordedPart, images: Sequence[RgbImage]) -> Masks:
        masks = teacher.masks(part.part_id, images, dataset.views, size)
        for view, mask in zip(dataset.view_ids, masks, strict=True):
            if not mask.any():
                raise DataError(
                    f"part {part.part_id}, view {view}: a part without foreground: no pixel of "
                    f"{part.images[view]} is taken for the part; check that the part is in the picture and "
                    "lit, or take it out"
                )
        return masks

    kind = CachedKind[Sequence[RgbImage]](
        name="masks",
        identity=teacher.identity,
        shape=(len(dataset.views), *size),
        dtype=np.uint8,
        load=lambda images: images,
        compute=compute,
        by_name=True,  # drawn masks belong to a part and a view, whatever their images are
    )
    paths = cache_arrays(parts, dataset, kind, folder=folder, progress=progress)
    masks = np.zeros((len(paths), *kind.shape), np.uint8)
    for index, path in enumerate(paths):
        masks[index] = read_array(path, "masks")
    return masks
