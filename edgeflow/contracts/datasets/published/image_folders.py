"""Folders of images with one view per part, as the MVTec data sets and others have them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES, NORMAL, RecordedPart, Split, natural
from edgeflow.contracts.documents.file_names import as_text, is_foreign, spelt_as
from edgeflow.contracts.image_files.mask_sources import DefectMask
from edgeflow.errors import DataError

__all__ = [
    "GOOD",
    "VIEW",
    "MaskOf",
    "choose_class",
    "classes_below",
    "folders_of",
    "images_of",
    "mask_beside",
    "single_view_parts",
]

VIEW = "image"
GOOD = "good"
_SUFFIXES = sorted({*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)})

MaskOf = Callable[[Path], DefectMask | None]
"""From an image file to the mask that belongs to it."""


def folders_of(folder: Path) -> list[Path]:
    """The folders in a folder, in natural order; none where there is no such folder."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if path.is_dir() and not is_foreign(path))
    return sorted(found, key=lambda path: natural(path.name))


def images_of(folder: Path) -> list[Path]:
    """The image files in a folder, in natural order; none where there is no such folder."""
    if not folder.is_dir():
        return []
    found = (
        file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES and not is_foreign(file)
    )
    return sorted(found, key=lambda path: natural(path.stem))


def classes_below(root: Path, is_class: Callable[[Path], bool]) -> dict[str, Path]:
    """The classes of a folder by name: its own, or those of the folders in it; none for another layout."""
    if is_class(root):
        return {as_text(root.resolve().name): root}
    return {as_text(path.name): path for path in folders_of(root) if is_class(path)}


def choose_class(root: Path, classes: Mapping[str, Path], class_name: str | None) -> tuple[str, Path]:
    """A class by name, or the only one.

    Raises:
        DataError: no such class, or several to choose from.
    """
    names = ", ".join(classes)
    if class_name is None:
        if len(classes) > 1:
            raise DataError(f"{root}: {len(classes)} classes, choose one by name; found: {names}")
        return next(iter(classes.items()))
    class_name = spelt_as(class_name, classes)
    if class_name not in classes:
        raise DataError(f"{root}: no class '{class_name}'; found: {names}")
    return class_name, classes[class_name]


def single_view_parts(
    folder: Path,
    prefix: str,
    *,
    label: str,
    split: Split,
    class_name: str,
    mask_of: MaskOf | None,
    problems: list[str],
) -> Iterator[RecordedPart]:
    """One part for each image of a folder, with the view ``image``.

    Args:
        prefix: of the part ids, such as ``test/crack``.
        mask_of: None for normal parts.
        problems: gets a sentence for every image that is there twice.
    """
    seen: set[str] = set()
    for file in images_of(folder):
        part_id = f"{prefix}/{as_text(file.stem)}"
        if file.stem in seen:
            problems.append(f"part {part_id}: view {VIEW} is there twice")
        seen.add(file.stem)
        yield RecordedPart(
            part_id=part_id,
            images={VIEW: file},
            masks={VIEW: mask_of(file) if mask_of and label != NORMAL else None},
            label=label,
            split=split,
            class_name=class_name,
        )


def mask_beside(folder: Path) -> MaskOf:
    """Masks in a folder, named as their image with or without ``_mask``.

    A mask that is not there is named where it belongs; without such a folder there is no ground truth.
    """
    if not folder.is_dir():
        return lambda _image: None

    def found(image: Path) -> Path:
        named = folder / f"{image.stem}_mask.png"
        if named.is_file():
            return named
        stems = (f"{image.stem}_mask", image.stem)
        others = (folder / f"{name}{suffix}" for name in stems for suffix in _SUFFIXES)
        return next((other for other in others if other.is_file()), named)

    return found
