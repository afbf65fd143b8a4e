"""Recorded parts as folders: one folder per part that holds one image per view, named after the view."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from edgeflow.contracts.datasets.evidence_folders import is_overruled, part_views, recorded_verdict
from edgeflow.contracts.datasets.part_label import read_label
from edgeflow.contracts.datasets.recorded_part import RecordedPart, natural
from edgeflow.contracts.documents.file_names import as_text, is_foreign
from edgeflow.contracts.manifest import VIEW_NAME
from edgeflow.errors import DataError

__all__ = ["folder_per_part", "unusable_view_names"]

_SHOWN = 20
_MOST_VIEWS = 8  # cameras of one box
_GOOD_NAMES = frozenset({"good", "ok", "normal"})
_CAMERA = re.compile(r"(cam(era)?|kamera|view|ansicht|sensor|c|gige|usb|video)[ _.#-]*\d{1,3}", re.IGNORECASE)
_SIDES = frozenset({"top", "bottom", "left", "right", "front", "back", "rear", "side"})


def folder_per_part(root: Path, views: tuple[str, ...] | None, problems: list[str]) -> list[RecordedPart]:
    """The parts below a folder.

    Args:
        views: the views that are wanted; None: all that there are.
        problems: gets a sentence for every view that is there twice.

    Raises:
        DataError: the folders are cameras that hold one image per part, or labels that hold one per part.
    """
    folders = {as_text(folder.name): folder for folder in _folders(root)}
    images = {name: part_views(folder, name, problems) for name, folder in folders.items()}
    _refuse_labels(root, images, views)
    _refuse_cameras(root, {name: list(files) for name, files in images.items()}, views)
    return [_part(name, folders[name], files) for name, files in images.items() if files]


def _part(name: str, folder: Path, images: Mapping[str, Path]) -> RecordedPart:
    """One part; a person's label counts instead of the box's verdict, and a defective part is a test part."""
    given, verdict = read_label(folder), recorded_verdict(folder)
    return RecordedPart(
        part_id=name,
        images=images,
        masks={},
        label=given.data_set_label if given else None,
        split="test" if given and given.label == "NG" else None,
        verdict=None if given else verdict,
        overruled=given is not None and is_overruled(given.label, verdict),
    )


def _folders(root: Path) -> list[Path]:
    found = (path for path in root.iterdir() if path.is_dir() and not is_foreign(path))
    return sorted(found, key=lambda path: natural(as_text(path.name)))


def unusable_view_names(parts: list[RecordedPart]) -> Iterator[str]:
    """Views whose names can be no topic and no file of a bundle, each told once."""
    counts: dict[str, int] = {}
    for part in parts:
        for view in part.images:
            if not re.fullmatch(VIEW_NAME.pattern, view):
                counts[view] = counts.get(view, 0) + 1
    for view, count in list(counts.items())[:_SHOWN]:
        of = "1 part" if count == 1 else f"{count} parts"
        yield f"view '{view}' (of {of}): expected {VIEW_NAME.words}; rename the files"
    if len(counts) > _SHOWN:
        yield f"and {len(counts) - _SHOWN} more names of views"


def _refuse_labels(
    root: Path, images: Mapping[str, Mapping[str, Path]], views: tuple[str, ...] | None
) -> None:
    """Refuse folders by label that hold images themselves: these are parts, and would be taken for views."""
    label = next((name for name, files in images.items() if files and name.lower() in _GOOD_NAMES), None)
    if label is None or views is not None:
        return
    raise DataError(
        f"{root}: {label}/ holds images itself. Where each image is a part of one view, lay them out as "
        "train/good/, test/good/ and test/DEFECT/ with images, masks in ground_truth/DEFECT/; where a part "
        f"has several views, give it a folder of its own: {label}/PART/VIEW.png; if '{label}' is a part, "
        "name its views as data.views"
    )


def _refuse_cameras(root: Path, folders: Mapping[str, list[str]], views: tuple[str, ...] | None) -> None:
    """Refuse one folder per camera: its images are parts, and would be taken for views."""
    filled = {name: stems for name, stems in folders.items() if stems}
    if not filled or not (_are_wanted(filled, views) if views else _seem_cameras(filled)):
        return
    example, stems = next(iter(filled.items()))
    raise DataError(
        f"{root}: each folder looks like a camera that holds one image per part ({example} with {stems[0]} "
        f"and {len(stems) - 1} more); put the images of one part into one folder, each named after its "
        f"camera ({stems[0]}/{example}); if the folders are parts, name their views as data.views"
    )


def _are_wanted(filled: Mapping[str, list[str]], views: tuple[str, ...]) -> bool:
    """True if the wanted views are folders rather than images in them."""
    inside = {stem for stems in filled.values() for stem in stems}
    return set(views) <= set(filled) and not set(views) & inside


def _seem_cameras(filled: Mapping[str, list[str]]) -> bool:
    most = max(len(stems) for stems in filled.values())
    numbered = all(len({re.sub(r"\d+", "#", stem) for stem in stems}) == 1 for stems in filled.values())
    named = all(_CAMERA.fullmatch(name) or name.lower() in _SIDES for name in filled)
    if named and most > 1 and not any(_CAMERA.fullmatch(s) or s.lower() in _SIDES for s in _all(filled)):
        return True
    return numbered and most > max(_MOST_VIEWS, len(filled))


def _all(filled: Mapping[str, list[str]]) -> set[str]:
    return {stem for stems in filled.values() for stem in stems}
