"""Masks of defective parts: drawn for which parts, of their images' size, and marking anything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.recorded_part import RecordedPart
from edgeflow.contracts.image_files.header import ImageHeader
from edgeflow.contracts.image_files.mask_sources import (
    DefectMask,
    defect_mask_size,
    missing_mask_files,
    read_defect_mask,
)
from edgeflow.diagnostics.data_set.images import ImagesSeen
from edgeflow.diagnostics.data_set.progress import Progress
from edgeflow.diagnostics.findings import Finding, failed, listed, warning
from edgeflow.errors import DataError

__all__ = ["MaskSummary", "MasksSeen", "look_at_masks"]


@dataclass(frozen=True, kw_only=True)
class MaskSummary:
    """Masks of all parts.

    Attributes:
        defective_parts: number of parts that are defective by their label.
        with_masks: of these, with a mask for at least one view.
        masks: number of masks.
        empty: of these, that mark no pixel.
    """

    defective_parts: int
    with_masks: int
    masks: int
    empty: int


@dataclass(frozen=True, kw_only=True)
class MasksSeen:
    """All masks, and what is odd about them."""

    summary: MaskSummary
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class _Mask:
    part: RecordedPart
    view: str
    source: DefectMask

    def __str__(self) -> str:
        return f"part {self.part.part_id}, view {self.view}: {self.source}"


def look_at_masks(parts: Sequence[RecordedPart], images: ImagesSeen, *, progress: Progress) -> MasksSeen:
    """Read the masks of all parts, one after another."""
    masks = _distinct(parts)
    refused: list[str] = []
    empty: list[str] = []
    on_normal = [str(mask) for mask in masks if mask.part.defective is False]
    for mask in progress(masks, "masks", len(masks)):
        problem, marks_nothing = _look(mask, images.headers)
        refused += [problem] if problem else []
        empty += [str(mask)] if marks_nothing else []
    defective = [part for part in parts if part.defective]
    bare = [part for part in defective if not any(part.masks.values())]
    return MasksSeen(
        summary=MaskSummary(
            defective_parts=len(defective),
            with_masks=len(defective) - len(bare),
            masks=len(masks),
            empty=len(empty),
        ),
        findings=(
            *listed(refused, "masks", failed),
            *listed([f"{text} marks no pixel of a defective view" for text in empty], "masks", warning),
            *listed([f"{text} is the mask of a part that is normal" for text in on_normal], "masks", warning),
            *_bare_findings(bare, defective),
        ),
    )


def _distinct(parts: Sequence[RecordedPart]) -> list[_Mask]:
    """Each mask of a part once, though it may be that of several views."""
    found: dict[tuple[int, DefectMask], _Mask] = {}
    for number, part in enumerate(parts):
        for view, source in part.masks.items():
            if source is not None and view in part.images:
                found.setdefault((number, source), _Mask(part, view, source))
    return list(found.values())


def _look(mask: _Mask, headers: Mapping[Path, ImageHeader]) -> tuple[str | None, bool]:
    """The reason why a mask is refused, and whether it marks nothing."""
    missing = missing_mask_files(mask.source)
    if missing:
        return f"part {mask.part.part_id}, view {mask.view}: no such mask {missing[0]}", False
    header = headers.get(mask.part.images[mask.view])
    try:
        height, width = defect_mask_size(mask.source)
        if header is not None and (height, width) != (header.height, header.width):
            return f"{mask} is {width}x{height}, its image is {header.width}x{header.height}", False
        return None, not read_defect_mask(mask.source).any()
    except DataError as cause:
        return f"part {mask.part.part_id}, view {mask.view}: {cause.message}", False


def _bare_findings(bare: Sequence[RecordedPart], defective: Sequence[RecordedPart]) -> Iterator[Finding]:
    if not bare:
        return
    if len(bare) == len(defective):
        yield warning(
            "masks",
            f"none of the {len(bare)} defective parts has a mask: parts are ranked, views and pixels are not",
        )
        return
    claimed = [part for part in bare if part.split == "test"]
    yield from listed(
        [f"part {part.part_id}: {part.label}, but no view has a mask, as others have" for part in claimed],
        "masks",
        failed,
    )
