"""Reasons why a folder has no parts: one folder too high, archives, annotations in a tool's own format."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from edgeflow.contracts.datasets.find_parts import look_for_parts
from edgeflow.contracts.datasets.layouts import LAYOUTS, PartsRequest
from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES
from edgeflow.contracts.documents.file_names import as_text, is_foreign
from edgeflow.errors import DataError

__all__ = ["hints"]

_ARCHIVES = frozenset({".zip", ".tar", ".gz", ".tgz", ".xz", ".7z", ".rar"})
_HEAD = 4096
_MOST_FOLDERS = 200
_SHOWN = 5


def hints(root: Path) -> list[str]:
    """Sentences for whoever gave a folder without parts; none where nothing explains it."""
    found = [
        f"{as_text(str(folder))} below it holds {LAYOUTS[layout].title}; give that folder"
        for folder, layout in islice(_below(root), _SHOWN)
    ]
    files = sorted(file for file in root.iterdir() if file.is_file() and not is_foreign(file))
    images = [file.name for file in files if file.suffix.lower() in IMAGE_SUFFIXES]
    if images:
        found.append(
            f"it holds {len(images)} image(s) itself, such as {as_text(images[0])}; put those of one part "
            "into a folder of its own, named after their views, or, where each is a part of one view, "
            "all into train/good/"
        )
    archives = [file.name for file in files if file.suffix.lower() in _ARCHIVES]
    if archives:
        found.append(f"it holds archives, such as {as_text(archives[0])}; unpack them first")
    for file in files:
        head = _head(file) if file.suffix.lower() in (".xml", ".json") else b""
        if b"<annotations>" in head:
            found.append(f"{as_text(file.name)} is CVAT's own format; export as 'COCO 1.0', with images")
    return found


def _below(root: Path) -> Iterator[tuple[Path, str]]:
    """Folders one and two levels below that have parts, with their layouts."""
    first = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not is_foreign(folder)]
    second = (
        folder
        for parent in first
        for folder in sorted(parent.iterdir())
        if folder.is_dir() and not is_foreign(folder)
    )
    for folder in islice((*first, *islice(second, _MOST_FOLDERS)), _MOST_FOLDERS):
        layout = _layout_with_parts(folder)
        if layout is not None:
            yield folder, layout


def _layout_with_parts(folder: Path) -> str | None:
    try:
        found = look_for_parts(folder, PartsRequest())
    except DataError:  # several classes to choose from, for instance; its own message says so there
        return next((name for name, layout in LAYOUTS.items() if layout.matches(folder)), None)
    return found.layout if found.parts else None


def _head(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(_HEAD)
    except OSError:
        return b""
