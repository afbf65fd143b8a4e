"""The layout of MVTec LOCO AD on disk: a folder of masks for every defective image.

Source: MVTec Software, *MVTec LOCO AD* (mvtec.com, doi 10.1007/s11263-022-01578-9), and anomalib's reader of
it. Its saturation thresholds (``defects_config.json``) belong to a measure, sPRO, that is not computed here.
"""

from __future__ import annotations

from pathlib import Path

from edgeflow.contracts.datasets.published.image_folders import (
    GOOD,
    MaskOf,
    choose_class,
    classes_below,
    folders_of,
    images_of,
    single_view_parts,
)
from edgeflow.contracts.datasets.published.mvtec import is_mvtec_class
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart
from edgeflow.contracts.documents.file_names import as_text
from edgeflow.contracts.image_files.mask_sources import DefectMask, MaskFiles

__all__ = ["mvtec_loco_classes", "mvtec_loco_parts"]

_CONFIG = "defects_config.json"
_TRUTH = "ground_truth"


def mvtec_loco_classes(root: Path) -> dict[str, Path]:
    """The classes of a folder by name; none for another layout."""
    return classes_below(root, _is_class)


def _is_class(folder: Path) -> bool:
    if not is_mvtec_class(folder) or not images_of(folder / "train" / GOOD):
        return False  # part folders by label may have the same folders of masks
    kinds = folders_of(folder / _TRUTH)
    return (folder / _CONFIG).is_file() or any(folders_of(kind) for kind in kinds)


def mvtec_loco_parts(
    root: Path, class_name: str | None, problems: list[str], notes: list[str]
) -> list[RecordedPart]:
    """The parts of one class: ``train/good``, ``validation/good`` and ``test/<kind>``.

    The masks of an image are joined: a pixel is defective where any of them marks it.

    Args:
        problems: gets a sentence for everything that is wrong with single parts.
        notes: gets a sentence for what is not computed.

    Raises:
        DataError: no such class, or several to choose from.
    """
    name, folder = choose_class(root, mvtec_loco_classes(root), class_name)
    if (folder / _CONFIG).is_file():
        notes.append(f"the saturation thresholds of {_CONFIG} are not used: sPRO is not computed")
    parts: list[RecordedPart] = []
    for split in ("train", "validation", "test"):
        for kind in folders_of(folder / split):
            parts += single_view_parts(
                kind,
                f"{split}/{as_text(kind.name)}",
                label=NORMAL if kind.name == GOOD else as_text(kind.name),
                split=split,
                class_name=name,
                mask_of=_masks_in(folder / _TRUTH / kind.name),
                problems=problems,
            )
    return parts


def _masks_in(folder: Path) -> MaskOf:
    if not folder.is_dir():
        return lambda _image: None

    def found(image: Path) -> DefectMask:
        masks = images_of(folder / image.stem)
        return MaskFiles(tuple(masks)) if masks else folder / image.stem / "000.png"

    return found
