"""The layout of MVTec AD 2 on disk: the test set that has ground truth is ``test_public``.

Source: MVTec Software, *MVTec AD 2* (mvtec.com, arXiv 2503.21622), and anomalib's reader of it.
"""

from __future__ import annotations

from pathlib import Path

from edgeflow.contracts.datasets.published.image_folders import (
    GOOD,
    choose_class,
    classes_below,
    folders_of,
    images_of,
    mask_beside,
    single_view_parts,
)
from edgeflow.contracts.datasets.published.mvtec import is_mvtec_class
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart
from edgeflow.contracts.documents.file_names import as_text

__all__ = ["mvtec_ad_2_classes", "mvtec_ad_2_parts"]

_PUBLIC = "test_public"
_PRIVATE = ("test_private", "test_private_mixed")
_TRUTH = "ground_truth"


def mvtec_ad_2_classes(root: Path) -> dict[str, Path]:
    """The classes of a folder by name; none for another layout."""
    return classes_below(root, lambda folder: is_mvtec_class(folder) and (folder / _PUBLIC).is_dir())


def mvtec_ad_2_parts(
    root: Path, class_name: str | None, problems: list[str], notes: list[str]
) -> list[RecordedPart]:
    """The parts of one class: ``train/good``, ``validation/good`` and ``test_public``.

    Images of the private test sets have no label, and are left out.

    Args:
        problems: gets a sentence for everything that is wrong with single parts.
        notes: gets a sentence for what is left out.

    Raises:
        DataError: no such class, or several to choose from.
    """
    name, folder = choose_class(root, mvtec_ad_2_classes(root), class_name)
    hidden = sum(len(images_of(folder / split)) for split in _PRIVATE)
    if hidden:
        notes.append(f"{hidden} images of {' and '.join(_PRIVATE)} have no label and are left out")
    parts: list[RecordedPart] = []
    for split in ("train", "validation"):
        parts += single_view_parts(
            folder / split / GOOD,
            f"{split}/{GOOD}",
            label=NORMAL,
            split="train" if split == "train" else "validation",
            class_name=name,
            mask_of=None,
            problems=problems,
        )
    for kind in folders_of(folder / _PUBLIC):
        if kind.name == _TRUTH:
            continue
        parts += single_view_parts(
            kind,
            f"{_PUBLIC}/{as_text(kind.name)}",
            label=NORMAL if kind.name == GOOD else as_text(kind.name),
            split="test",
            class_name=name,
            mask_of=mask_beside(folder / _PUBLIC / _TRUTH / kind.name),
            problems=problems,
        )
    return parts
