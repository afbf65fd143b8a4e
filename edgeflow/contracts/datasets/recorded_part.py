"""One recorded part: its image files, and what is known about it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from edgeflow.contracts.image_files.mask_sources import DefectMask

__all__ = ["IMAGE_SUFFIXES", "NORMAL", "Crop", "RecordedPart", "Split", "natural"]

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"})
NORMAL = "OK"

Split = Literal["train", "validation", "test"]
"""Share of a data set, as its layout says; normal parts of ``validation`` are those for thresholds."""

Crop = tuple[int, int, int, int]
"""x, y, width and height in pixels."""


@dataclass(frozen=True, kw_only=True)
class RecordedPart:
    """The image files of one part.

    Attributes:
        images: view → file, views in natural order.
        masks: view → defect mask, or None where the view is normal; empty without ground truth.
        label: ``OK`` or the defect's name; None where unknown.
        split: None where the layout has none.
        class_name: the product it is one of; None where the layout does not say.
        verdict: of the box whose evidence it is; None for other parts, and where it was sorted by label.
        overruled: a person found it good, and the box had not. Of such parts a box keeps every one, and of
            other good parts few: a threshold from them would lie too high.
        unannotated: it is in an export of annotations, and nobody has annotated it: it is normal, or nobody
            has looked at it.
        crops: view → its place in its file, where several views lie in one picture.
    """

    part_id: str
    images: Mapping[str, Path]
    masks: Mapping[str, DefectMask | None]
    label: str | None
    split: Split | None
    class_name: str | None = None
    verdict: str | None = None
    overruled: bool = False
    unannotated: bool = False
    crops: Mapping[str, Crop] = field(default_factory=dict)

    @property
    def defective(self) -> bool | None:
        """True if any view is defective; None where unknown."""
        return None if self.label is None else self.label != NORMAL


def natural(text: str) -> list[tuple[int, str]]:
    """Sorting key by which ``C2`` comes before ``C10``."""
    return [(int(run), "") if run.isdecimal() else (-1, run) for run in re.split(r"(\d+)", text) if run]
