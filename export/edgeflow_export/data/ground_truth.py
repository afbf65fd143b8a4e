"""Ground truth of test parts: defective views and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.datasets.recorded_part import NORMAL
from edgeflow.contracts.image_files.mask_sources import defect_mask_size
from edgeflow.contracts.images import image_size
from edgeflow.errors import DataError
from edgeflow_export.data.dataset import Dataset, Masks, ahead, load_masks

__all__ = ["Flags", "GroundTruth", "load_ground_truth", "region_weights"]

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class GroundTruth:
    """Labels and masks of n test parts.

    Attributes:
        masks: of each part (V, H, W), True where defective; those of normal parts take no memory.
        defective: (n, V), as the data set says: a defect may be too small to be left in a mask of this size.
        labels: per part the defect's name, or ``OK``.
        has_masks: whether it is known of every defective part which views and pixels are defective.
    """

    part_ids: tuple[str, ...]
    view_ids: tuple[str, ...]
    labels: tuple[str, ...]
    defective: Flags
    masks: Sequence[Masks]
    has_masks: bool = True

    @property
    def defective_parts(self) -> Flags:
        """(n,): a part is defective where any of its views is, or where its label says so."""
        labelled = np.array([label != NORMAL for label in self.labels], np.bool_)
        flags: Flags = np.any(self.defective, axis=1) | labelled
        return flags


def load_ground_truth(dataset: Dataset, size: tuple[int, int]) -> GroundTruth:
    """Labels and masks of all test parts.

    Args:
        size: height and width at which masks are compared with maps.

    Raises:
        DataError: masks that cannot be read, or of another size than their images; all are named.
    """
    problems = [
        problem for found in ahead(lambda part: _problems(part, dataset), dataset.test) for problem in found
    ]
    if problems:
        raise DataError(
            f"{dataset.root}: {len(problems)} defect mask(s) do not fit their images; export the masks anew",
            problems=problems,
        )
    nowhere = np.broadcast_to(np.False_, (len(dataset.views), *size))
    masks = ahead(
        lambda part: load_masks(part, dataset, size) if any(_flags(part, dataset)) else nowhere, dataset.test
    )
    return GroundTruth(
        part_ids=tuple(part.part_id for part in dataset.test),
        view_ids=dataset.view_ids,
        labels=tuple(part.label or "OK" for part in dataset.test),
        defective=np.array([_flags(part, dataset) for part in dataset.test], np.bool_),
        masks=tuple(masks),
        has_masks=all(any(_flags(part, dataset)) for part in dataset.test if part.defective),
    )


def _flags(part: RecordedPart, dataset: Dataset) -> list[bool]:
    """Per view whether it is defective: it has a mask."""
    return [part.masks.get(view) is not None for view in dataset.view_ids]


def _problems(part: RecordedPart, dataset: Dataset) -> list[str]:
    """Masks of a part that do not have their image's size."""
    problems = []
    for view in dataset.view_ids:
        mask = part.masks.get(view)
        if mask is None:
            continue
        try:
            # Only headers are read: there may be thousands.
            sizes = defect_mask_size(mask), image_size(part.images[view])
        except DataError as cause:
            problems.append(f"part {part.part_id}, view {view}: {cause.message}")
            continue
        if sizes[0] != sizes[1]:
            (h, w), (height, width) = sizes
            problems.append(
                f"part {part.part_id}, view {view}: mask {mask} is {w}x{h}, "
                f"its image {part.images[view]} is {width}x{height}"
            )
    return problems


def region_weights(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Weights (m,) of the m defective pixels of a mask (H, W), in row order: every region weighs 1.

    A region is a set of pixels that touch by edge or corner.
    """
    _, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    inside = labels[mask]
    sizes = np.bincount(inside) if inside.size else np.ones(1)
    return np.asarray(1 / sizes[inside], np.float64)
