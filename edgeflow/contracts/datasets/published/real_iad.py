"""Real-IAD on disk: which images its descriptions put together as one part."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from edgeflow.contracts.datasets.published.real_iad_json import Description, Entry, Split, choose_description
from edgeflow.contracts.datasets.recorded_part import NORMAL, RecordedPart, natural
from edgeflow.contracts.documents.file_names import as_text, is_foreign
from edgeflow.errors import DataError

__all__ = ["descriptions_of", "real_iad_parts"]

JSONS = "realiad_jsons"
# The published archives: one folder per image size, the descriptions beside them.
SIZES = "realiad_*"
# Defects have free names, so the camera is the last number of its kind in the file name.
_CAMERA = re.compile(r"_C(\d{1,9})(?=[_.])")
_PROBED = 50


def descriptions_of(root: Path) -> Path | None:
    """The folder of JSON descriptions that belongs to a folder of images; None where it is no Real-IAD.

    As published it lies beside the images of each size, and holds a folder of its own name.
    """
    beside = [root.parent] if root.match(SIZES) else []
    for folder in (base / JSONS for base in (root, *beside)):
        if folder.is_dir():
            inner = folder / JSONS
            return inner if inner.is_dir() and not _described(folder) else folder
    return None


def _described(folder: Path) -> bool:
    return any(not is_foreign(file) for file in folder.glob("*.json"))


def real_iad_parts(
    root: Path, jsons: Path, class_name: str | None, problems: list[str]
) -> list[RecordedPart]:
    """The parts of one class, grouped by folder and by the camera number in the file name.

    Args:
        jsons: see ``descriptions_of``.
        class_name: which class, where there are several.
        problems: gets a sentence for everything that is wrong with single parts.

    Raises:
        DataError: no such class, several to choose from, or a malformed description.
    """
    path, document, category = choose_description(jsons, class_name)
    name = category or next(iter(document.categories), as_text(path.stem))
    base = _base(root, document, category, name)
    normal = document.meta.normal_class
    groups: dict[tuple[Split, str], list[Entry]] = defaultdict(list)
    for split, entry in document.of(category):
        groups[split, str(PurePosixPath(entry.image_path).parent)].append(entry)
    problems += [
        f"part {folder}: both in train and in test; it can only be one of them"
        for split, folder in groups
        if split == "test" and ("train", folder) in groups
    ]
    return [
        _part(folder, split, entries, base, normal, name, problems)
        for (split, folder), entries in groups.items()
    ]


def _part(
    folder: str,
    split: Split,
    entries: Iterable[Entry],
    base: Path,
    normal: str,
    class_name: str,
    problems: list[str],
) -> RecordedPart:
    """One part of its images; ``problems`` gets what is wrong with them."""
    images: dict[str, Path] = {}
    masks: dict[str, Path | None] = {}
    labels: set[str] = set()
    for entry in entries:
        cameras = _CAMERA.findall(PurePosixPath(entry.image_path).name)
        if not cameras:
            problems.append(f"{entry.image_path}: no camera number (_C1_) in the file name")
            continue
        view = f"C{int(cameras[-1])}"
        if view in images:
            problems.append(f"part {folder}: view {view} is there twice")
        images[view] = base / entry.image_path
        defective = entry.anomaly_class != normal
        labels |= {entry.anomaly_class} if defective else set()
        masks[view] = base / entry.mask_path if entry.mask_path and defective else None
    return RecordedPart(
        part_id=as_text(folder),
        images=dict(sorted(images.items(), key=lambda item: natural(item[0]))),
        masks=masks,
        label=next(iter(sorted(labels)), NORMAL),
        split=split,
        class_name=class_name,
    )


def _base(root: Path, document: Description, category: str | None, name: str) -> Path:
    """The folder that image paths start from: the prefix, or the class in it, below the root or a size."""
    prefix = document.meta.prefix
    if isinstance(prefix, dict):
        if name not in prefix:
            raise DataError(f"{root}: meta.prefix has no entry for class '{name}'; add it to the description")
        prefix = prefix[name]
    images = [entry.image_path for _, entry in document.of(category)][:_PROBED]
    sizes = sorted(path for path in root.glob(SIZES) if path.is_dir() and not path.name.startswith(JSONS))
    for tail in dict.fromkeys((Path(prefix), Path(prefix) / name)):
        if _holds(root / tail, images):
            return root / tail
        holding = [size for size in sizes if _holds(size / tail, images)]
        if len(holding) > 1:
            names = ", ".join(size.name for size in holding)
            raise DataError(
                f"{root}: its images are there in several sizes, choose one of its folders: {names}"
            )
        if holding:
            return holding[0] / tail
    return root / prefix


def _holds(base: Path, images: Iterable[str]) -> bool:
    return any((base / image).is_file() for image in images)
