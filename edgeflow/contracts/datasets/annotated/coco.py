"""Exports of CVAT and Label Studio, as COCO JSON or Label Studio's own, read to recorded parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.contracts.datasets.annotated.coco_json import Picture, coco_files, read_coco
from edgeflow.contracts.datasets.annotated.drawn_mask import DrawnMask, Shape
from edgeflow.contracts.datasets.annotated.image_lookup import ImageLookup
from edgeflow.contracts.datasets.annotated.label_studio import label_studio_files, read_label_studio
from edgeflow.contracts.datasets.annotated.view_groups import group_views
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart, Split, natural
from edgeflow.contracts.image_files.mask_sources import DefectMask
from edgeflow.contracts.images import image_size
from edgeflow.errors import DataError

__all__ = ["coco_parts", "is_coco_export"]

_GOOD_NAMES = frozenset({"good", "ok", "normal"})
_SPLITS: Mapping[str, Split] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class _Found:
    """One image file with what was said of it."""

    file: Path
    picture: Picture
    split: Split | None


def is_coco_export(root: Path) -> bool:
    """True if a folder holds annotations as COCO JSON, or Label Studio's own."""
    return bool(coco_files(root) or label_studio_files(root))


def coco_parts(
    root: Path, views: Sequence[str] | None, problems: list[str], notes: list[str]
) -> list[RecordedPart]:
    """The parts of all exports in a folder.

    A category is a kind of defect, but ``good``, ``ok`` and ``normal``, which say that an image is good. A
    defective part is a test part, whatever its subset: it never trains. An image without annotations is
    ``unannotated``, and whoever trains says what that means. A part with a box that nobody has drawn a mask
    for has no masks.

    Args:
        views: the views that are wanted; see ``group_views``.
        problems: gets a sentence for everything that is wrong with single images and annotations.
        notes: gets a sentence for what was concluded.

    Raises:
        DataError: a file that cannot be read.
    """
    found = _found(root, problems)
    places, rule = group_views([one.file for one in found], root, views)
    groups: dict[str, dict[str, _Found]] = defaultdict(dict)
    for one in found:
        if one.file not in places:
            problems.append(f"{one.file}: its name ends in none of the views {', '.join(views or ())}")
            continue
        part_id, view = places[one.file]
        if view in groups[part_id]:
            problems.append(f"part {part_id}: view {view} is there twice")
        groups[part_id][view] = one
    notes.append(rule)
    parts = [_part(part_id, group, problems) for part_id, group in groups.items()]
    _say_more(parts, groups, notes)
    return sorted(parts, key=lambda part: natural(part.part_id))


def _found(root: Path, problems: list[str]) -> list[_Found]:
    """The images of all exports that are there; ``problems`` gets the others."""
    lookup = ImageLookup(root)
    found: dict[Path, _Found] = {}
    exports = [(export, read_coco) for export in coco_files(root)]
    exports += [(export, read_label_studio) for export in label_studio_files(root)]
    for export, read in exports:
        subset = _subset(export)
        for picture in read(export, _GOOD_NAMES, problems):
            file = lookup.find(picture.name, subset=subset)
            if isinstance(file, str):
                problems.append(f"{export.name}: {file}")
            elif file in found:
                problems.append(
                    f"{file}: is in {found[file].picture.export} and in {export}; keep one of them"
                )
            else:
                found[file] = _Found(file, picture, _SPLITS.get(subset.lower()))
    return list(found.values())


def _subset(export: Path) -> str:
    """The subset that a file is for, by its name, or by its folder's."""
    name = export.stem.removeprefix("instances_")
    return export.parent.name if name.startswith(("_", "result")) else name


def _part(part_id: str, group: Mapping[str, _Found], problems: list[str]) -> RecordedPart:
    defects = sorted({kind for one in group.values() for kind in one.picture.defects})
    annotated = any(one.picture.is_annotated for one in group.values())
    splits = {one.split for one in group.values()}
    if len(splits) > 1:
        problems.append(f"part {part_id}: its views are in several subsets; put them into one")
    split = next(iter(splits))
    images = {view: group[view].file for view in sorted(group, key=natural)}
    return RecordedPart(
        part_id=part_id,
        images=images,
        masks=_masks(group, problems) if defects else dict.fromkeys(images) if annotated else {},
        label=defects[0] if defects else NORMAL if annotated else None,
        split="test" if defects else split,
        unannotated=not annotated,
    )


def _masks(group: Mapping[str, _Found], problems: list[str]) -> dict[str, DefectMask | None]:
    """View → what was drawn into it; nothing where a defect was only boxed in."""
    if any(one.picture.boxes for one in group.values()):
        return {}
    masks: dict[str, DefectMask | None] = {}
    for view, one in group.items():
        shapes = tuple(shape for drawn in one.picture.defects.values() for shape in drawn)
        try:
            masks[view] = _drawn(one, shapes) if shapes else None
        except DataError as cause:
            problems.append(cause.message)
    return masks


def _drawn(one: _Found, shapes: tuple[Shape, ...]) -> DrawnMask:
    picture = one.picture
    height, width = picture.height, picture.width
    if height is None or width is None:
        height, width = image_size(one.file)
    return DrawnMask(picture.export, picture.name, height, width, shapes)


def _say_more(
    parts: Sequence[RecordedPart], groups: Mapping[str, Mapping[str, _Found]], notes: list[str]
) -> None:
    boxed = sum(any(one.picture.boxes for one in group.values()) for group in groups.values())
    if boxed:
        notes.append(
            f"{boxed} part(s) have defects with a box and no mask; they count as defective without masks"
        )
    both = sum(
        any(one.picture.found_good and one.picture.defects for one in group.values())
        for group in groups.values()
    )
    if both:
        notes.append(
            f"{both} part(s) have an image that is annotated as good and as defective; the defect counts"
        )
    moved = sum(
        part.defective is True and any(one.split != "test" for one in groups[part.part_id].values())
        for part in parts
    )
    if moved:
        notes.append(f"{moved} defective part(s) outside the subset 'test' are test parts: they never train")
