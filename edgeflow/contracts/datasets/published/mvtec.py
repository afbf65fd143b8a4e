"""The layout of MVTec AD on disk: one image per part, one folder per kind of defect.

Source: MVTec Software, *MVTec AD* (mvtec.com, doi 10.1007/s11263-020-01400-4).
"""

from __future__ import annotations

from pathlib import Path

from edgeflow.contracts.datasets.published.image_folders import (
    GOOD,
    choose_class,
    classes_below,
    folders_of,
    mask_beside,
    single_view_parts,
)
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart
from edgeflow.contracts.documents.file_names import as_text

__all__ = ["is_mvtec_class", "mvtec_classes", "mvtec_parts"]


def is_mvtec_class(folder: Path) -> bool:
    """True if a folder holds one class."""
    return (folder / "train" / GOOD).is_dir()


def mvtec_classes(root: Path) -> dict[str, Path]:
    """The classes of a folder by name; none for another layout."""
    return classes_below(root, is_mvtec_class)


def mvtec_parts(root: Path, class_name: str | None, problems: list[str]) -> list[RecordedPart]:
    """The parts of one class: ``train/good``, ``test/<defect>`` and ``ground_truth/<defect>``.

    Args:
        problems: gets a sentence for everything that is wrong with single parts.

    Raises:
        DataError: no such class, or several to choose from.
    """
    name, folder = choose_class(root, mvtec_classes(root), class_name)
    return [
        part
        for split in ("train", "test")
        for kind in folders_of(folder / split)
        for part in single_view_parts(
            kind,
            f"{split}/{as_text(kind.name)}",
            label=NORMAL if kind.name == GOOD else as_text(kind.name),
            split="train" if split == "train" else "test",
            class_name=name,
            mask_of=mask_beside(folder / "ground_truth" / kind.name),
            problems=problems,
        )
    ]
