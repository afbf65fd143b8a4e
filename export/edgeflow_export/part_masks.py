"""Foreground masks of recorded parts at map size, computed once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeflow.contracts.images import read_image
from edgeflow.contracts.parts import RecordedPart
from edgeflow.contracts.scoring import Masks
from edgeflow_export.datasets import Dataset
from edgeflow_export.foreground import MaskTeacher
from edgeflow_export.progress import progress_bar

__all__ = ["part_masks"]


def part_masks(
    parts: Sequence[RecordedPart],
    dataset: Dataset,
    teacher: MaskTeacher,
    size: tuple[int, int],
    *,
    progress: bool = True,
) -> Masks:
    """Masks (n, V, h, w) of parts.

    Raises:
        DataError: a view has no foreground at all; part and view are named.
    """
    masks = []
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task("foreground", total=len(parts), note="")
        for part in parts:
            images = [read_image(part.images[view]) for view in dataset.view_ids]
            masks.append(teacher.masks(part.part_id, images, dataset.views, size))
            bar.advance(task)
    return np.stack(masks)
