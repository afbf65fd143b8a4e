"""Views of one part among the images of an export: by folder, or by the end of their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgeflow.contracts.datasets.annotated.image_lookup import without_upload_mark
from edgeflow.contracts.documents.file_names import as_text

__all__ = ["Place", "group_views"]

Place = tuple[str, str]
"""Part id and view of one image."""

VIEW = "image"
_MOST_VIEWS = 8  # cameras of one box
_CAMERA = re.compile(r"(.+?)[_\-. ]((?:c|v|cam|camera|view)[_-]?\d{1,2})", re.IGNORECASE)
_SUBSETS = frozenset(
    {"train", "training", "val", "valid", "validation", "test", "testing", "default", "images"}
)


def group_views(
    files: Sequence[Path], root: Path, views: Sequence[str] | None
) -> tuple[Mapping[Path, Place], str]:
    """The part and view of each image, and a sentence that says by which rule.

    Images belong together that lie in a folder of their own (``PART/C1.png``), or whose names end in a camera
    (``PART_C1.png``); otherwise each is a part of one view, ``image``.

    Args:
        files: below ``root``.
        views: those that are wanted, which are then looked for by name; None: by rule.
    """
    places = _by_folder(files, root, views)
    if places is not None:
        return places, "images in one folder are the views of one part"
    places = _by_ending(files, root, views)
    if places is not None:
        return places, "images whose names differ only in the camera at the end are the views of one part"
    stems = [_relative(file, root).rsplit(".", 1)[0] for file in files]
    doubled = {stem for stem, count in Counter(stems).items() if count > 1}
    return {
        file: (_relative(file, root) if stem in doubled else stem, VIEW)
        for file, stem in zip(files, stems, strict=True)
    }, "each image is a part of one view"


def _by_folder(files: Sequence[Path], root: Path, views: Sequence[str] | None) -> dict[Path, Place] | None:
    folders = {file.parent for file in files}
    stems = {file.stem for file in files}
    if any(folder.name.lower() in _SUBSETS or folder == root for folder in folders):
        return None
    by_rule = len(folders) > 1 and len(stems) <= _MOST_VIEWS and not all(stem.isdecimal() for stem in stems)
    if not (by_rule if views is None else set(views) <= stems):
        return None
    return {file: (_relative(file.parent, root), as_text(file.stem)) for file in files}


def _by_ending(files: Sequence[Path], root: Path, views: Sequence[str] | None) -> dict[Path, Place] | None:
    endings = _CAMERA if views is None else re.compile(rf"(.+)[_\-. ]({'|'.join(map(re.escape, views))})")
    found: dict[Path, Place] = {}
    for file in files:
        match = endings.fullmatch(without_upload_mark(file.stem))
        if match is not None:
            folder = _relative(file.parent, root)
            part = as_text(match[1])
            found[file] = (part if folder == "." else f"{folder}/{part}", as_text(match[2]))
    if views is None and (len(found) < len(files) or len({view for _, view in found.values()}) < 2):
        return None
    return found or None


def _relative(path: Path, root: Path) -> str:
    return as_text(path.relative_to(root).as_posix())
