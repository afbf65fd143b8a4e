"""The layout of MANTA on disk: five views of a part side by side in one picture.

Source: *MANTA* (arXiv 2412.04867, grainnet.github.io/MANTA); folders and pictures of ``MANTA_TINY_256`` as
public readers of it take them: 1280x256 pixels for five views of 256x256. Its texts are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from edgeflow.contracts.datasets.published.image_folders import (
    GOOD,
    VIEW,
    choose_class,
    folders_of,
    images_of,
    mask_beside,
    single_view_parts,
)
from edgeflow.contracts.datasets.published.mvtec import is_mvtec_class
from edgeflow.contracts.datasets.recorded_part import NORMAL, Crop, RecordedPart, Split
from edgeflow.contracts.documents.file_names import as_text
from edgeflow.contracts.image_files.mask_sources import DefectMask, read_defect_mask
from edgeflow.contracts.images import image_size
from edgeflow.errors import DataError

__all__ = ["could_be_manta", "is_manta", "manta_parts"]

_VIEWS = 5
_TRIED = 5  # pictures of a class, where some cannot be read
_DOMAINS = frozenset({"agriculture", "electronics", "groceries", "mechanics", "medicine"})


def is_manta(root: Path) -> bool:
    """True if a folder is MANTA by its names and pictures: all of it, a domain, or a class of a domain."""
    return _first_strip(_classes(root, named=True).values())


def could_be_manta(root: Path) -> bool:
    """True if the pictures of a folder are five times as wide as high, whatever its names."""
    return _first_strip(_classes(root, named=False).values())


def manta_parts(root: Path, class_name: str | None, problems: list[str]) -> list[RecordedPart]:
    """The parts of one class: ``train/good``, ``test/<kind>`` and ``ground_truth/<kind>``.

    Views are ``V1`` to ``V5`` from left to right; all five name the same file, and ``crops`` says where in it
    they are. A view is defective where the mask marks some of its pixels.

    Args:
        class_name: as ``mechanics/nut``, or by its last part where that is enough.
        problems: gets a sentence for everything that is wrong with single parts.

    Raises:
        DataError: no such class, several to choose from, or pictures of other proportions.
    """
    classes = _classes(root, named=False)
    if class_name is not None and class_name not in classes:  # given by its domain, or without it
        end = class_name.rpartition("/")[2]
        ends = [name for name in classes if name.rpartition("/")[2] == end]
        class_name = (
            ends[0] if len(ends) == 1 and "/" not in min(class_name, ends[0], key=len) else class_name
        )
    name, folder = choose_class(root, classes, class_name)
    return [
        _with_views(part, problems)
        for split in ("train", "test")
        for kind in folders_of(folder / split)
        for part in _strips(kind, folder, name, "train" if split == "train" else "test", problems)
    ]


def _strips(kind: Path, folder: Path, name: str, split: Split, problems: list[str]) -> Iterator[RecordedPart]:
    return single_view_parts(
        kind,
        f"{split}/{as_text(kind.name)}",
        label=NORMAL if kind.name == GOOD else as_text(kind.name),
        split=split,
        class_name=name,
        mask_of=mask_beside(folder / "ground_truth" / kind.name),
        problems=problems,
    )


def _classes(root: Path, *, named: bool) -> dict[str, Path]:
    """Name → folder of each class.

    Args:
        named: only below folders that bear the name of a domain.
    """
    if is_mvtec_class(root):
        domain = root.resolve().parent.name
        return {as_text(root.resolve().name): root} if domain in _DOMAINS or not named else {}
    below = [folder for folder in folders_of(root) if is_mvtec_class(folder)]
    if below:
        fits = root.resolve().name in _DOMAINS or not named
        return {as_text(folder.name): folder for folder in below} if fits else {}
    return {
        f"{as_text(domain.name)}/{as_text(folder.name)}": folder
        for domain in folders_of(root)
        if domain.name in _DOMAINS or not named
        for folder in folders_of(domain)
        if is_mvtec_class(folder)
    }


def _first_strip(folders: Iterable[Path]) -> bool:
    """True if the first picture that can be read holds five views."""
    for folder in folders:
        for file in images_of(folder / "train" / GOOD)[:_TRIED]:
            try:
                height, width = image_size(file)
            except DataError:
                continue
            return width == _VIEWS * height
    return False


def _with_views(part: RecordedPart, problems: list[str]) -> RecordedPart:
    """The part with five views instead of the one picture."""
    file = part.images[VIEW]
    names = [f"V{number}" for number in range(1, _VIEWS + 1)]
    images = dict.fromkeys(names, file)
    try:
        height, width = image_size(file)
    except DataError as cause:
        problems.append(f"part {part.part_id}: {cause.message}")
        return replace(part, images=images, masks=dict.fromkeys(names))
    if width % _VIEWS:
        problems.append(
            f"part {part.part_id}: {file} is {width}x{height}, and not {_VIEWS} views of one width"
        )
    side = width // _VIEWS
    crops: dict[str, Crop] = {name: (n * side, 0, side, height) for n, name in enumerate(names)}
    masks = _view_masks(part, part.masks[VIEW], (height, width), crops, problems)
    return replace(part, images=images, masks=masks, crops=crops)


def _view_masks(
    part: RecordedPart,
    mask: DefectMask | None,
    size: tuple[int, int],
    crops: dict[str, Crop],
    problems: list[str],
) -> dict[str, DefectMask | None]:
    """The mask for the views that it marks; for all where it marks none, or does not fit."""
    if mask is None or (isinstance(mask, Path) and not mask.is_file()):
        return dict.fromkeys(crops, mask)
    try:
        marked = read_defect_mask(mask)
    except DataError as cause:
        problems.append(f"part {part.part_id}: {cause.message}")
        return dict.fromkeys(crops, mask)
    if marked.shape != size or not marked.any():
        return dict.fromkeys(crops, mask)
    return {
        view: mask if np.any(marked[y : y + height, x : x + width]) else None
        for view, (x, y, width, height) in crops.items()
    }
