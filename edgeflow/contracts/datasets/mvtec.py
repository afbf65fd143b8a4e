"""The layout of the MVTec data sets on disk: one image per part, one folder per kind of defect."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES, NORMAL, RecordedPart, natural
from edgeflow.contracts.documents.file_names import as_text, is_foreign, spelt_as
from edgeflow.errors import DataError

__all__ = ["VIEW", "mvtec_classes", "mvtec_parts"]

VIEW = "image"
GOOD = "good"
_SUFFIXES = sorted({*IMAGE_SUFFIXES, *(suffix.upper() for suffix in IMAGE_SUFFIXES)})


def mvtec_classes(root: Path) -> dict[str, Path]:
    """The classes of a folder by name: its own, or those of the folders in it; none for another layout."""
    if _is_class(root):
        return {as_text(root.resolve().name): root}
    found = (path for path in root.iterdir() if path.is_dir() and not is_foreign(path))
    folders = sorted(found, key=lambda path: natural(path.name))
    return {as_text(path.name): path for path in folders if _is_class(path)}


def mvtec_parts(
    root: Path, classes: dict[str, Path], class_name: str | None, problems: list[str]
) -> list[RecordedPart]:
    """The parts of one class: ``train/good``, ``test/<defect>`` and ``ground_truth/<defect>``.

    Args:
        classes: see ``mvtec_classes``.
        problems: gets a sentence for everything that is wrong with single parts.

    Raises:
        DataError: no such class, or several to choose from.
    """
    names = ", ".join(classes)
    class_name = spelt_as(class_name, classes) if class_name is not None else None
    if class_name is not None and class_name not in classes:
        raise DataError(f"{root}: no class '{class_name}'; found: {names}")
    if class_name is None and len(classes) > 1:
        raise DataError(f"{root}: {len(classes)} classes, choose one by name; found: {names}")
    name = class_name or next(iter(classes))
    splits: tuple[Literal["train", "test"], ...] = ("train", "test")
    return [part for split in splits for part in _split(classes[name], name, split, problems)]


def _is_class(folder: Path) -> bool:
    return (folder / "train" / GOOD).is_dir()


def _split(
    folder: Path, class_name: str, split: Literal["train", "test"], problems: list[str]
) -> Iterator[RecordedPart]:
    kinds = [path for path in (folder / split).glob("*") if path.is_dir() and not is_foreign(path)]
    for kind in sorted(kinds, key=lambda path: natural(path.name)):
        label = NORMAL if kind.name == GOOD else as_text(kind.name)
        masks = None if label == NORMAL else _Masks(folder / "ground_truth" / kind.name)
        seen: set[str] = set()
        for file in sorted(kind.iterdir(), key=lambda path: natural(path.stem)):
            if file.suffix.lower() not in IMAGE_SUFFIXES or is_foreign(file):
                continue
            part_id = f"{split}/{as_text(kind.name)}/{as_text(file.stem)}"
            if file.stem in seen:
                problems.append(f"part {part_id}: view {VIEW} is there twice")
            seen.add(file.stem)
            yield RecordedPart(
                part_id=part_id,
                images={VIEW: file},
                masks={VIEW: masks.of(file.stem) if masks else None},
                label=label,
                split=split,
                class_name=class_name,
            )


class _Masks:
    """The masks of one kind of defect; without such a folder the data set has no ground truth."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder if folder.is_dir() else None

    def of(self, stem: str) -> Path | None:
        """An image's mask, where it belongs even if it is not there."""
        if self._folder is None:
            return None
        named = self._folder / f"{stem}_mask.png"
        if named.is_file():
            return named
        others = (self._folder / f"{name}{suffix}" for name in (f"{stem}_mask", stem) for suffix in _SUFFIXES)
        return next((other for other in others if other.is_file()), named)
