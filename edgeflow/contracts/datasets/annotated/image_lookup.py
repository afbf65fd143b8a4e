"""Image files that an export of annotations names, however its tool wrote their paths."""

from __future__ import annotations

import contextlib
import os
import re
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath
from urllib.parse import parse_qs, unquote, urlsplit

from edgeflow.contracts.datasets.recorded_part import IMAGE_SUFFIXES
from edgeflow.contracts.documents.file_names import as_text, is_foreign

__all__ = ["ImageLookup", "without_upload_mark"]

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DRIVE = re.compile(r"^[A-Za-z]:")
_UPLOAD_MARK = re.compile(r"^[0-9a-f]{8}-(?=.)")  # Label Studio puts it before the name of a file it is given


class ImageLookup:
    r"""The image files below a folder, found by the end of a path.

    Exports name images relative to themselves, relative to a folder of images, by a path on the tool's
    machine (``/data/upload/4/a.png``, ``C:\images\a.png``), by a query (``/data/local-files/?d=a.png``) or by
    an address (``s3://bucket/a.png``). Only files below the folder are ever opened.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._by_name: dict[str, list[Path]] = defaultdict(list)
        seen: set[tuple[int, int]] = set()
        for folder, folders, files in os.walk(root, followlinks=True):  # images may lie on another disk
            here = Path(folder)
            place = here.stat()
            if (place.st_dev, place.st_ino) in seen:  # a link to a folder above
                folders[:] = []
                continue
            seen.add((place.st_dev, place.st_ino))
            folders[:] = sorted(name for name in folders if not is_foreign(here / name))
            for name in sorted(files):
                file = here / name
                if file.suffix.lower() in IMAGE_SUFFIXES and not is_foreign(file):
                    self._by_name[_plain(name)].append(file)

    def find(self, name: str, *, subset: str) -> Path | str:
        """The file that an export means, or a sentence that says why there is none.

        Args:
            name: as the export has it.
            subset: of the export, which decides between files of one name in ``train/`` and ``test/``.
        """
        wanted = _path_of(name)
        if not wanted.parts:
            return f"{as_text(name)}: names no file"
        names = (wanted.name, without_upload_mark(wanted.name))
        candidates = next((found for found in map(self._named, names) if found), [])
        if not candidates:
            return f"{as_text(name)}: no such image below {self._root}; put the export's images there"
        ranked = sorted(candidates, key=lambda file: self._rank(file, wanted, subset), reverse=True)
        if len(ranked) > 1 and self._rank(ranked[0], wanted, subset) == self._rank(ranked[1], wanted, subset):
            return f"{as_text(name)}: could be {ranked[0]} or {ranked[1]}; keep one of them"
        return ranked[0]

    def _named(self, name: str) -> list[Path]:
        """The files of a name; where there is none, those that a tool on Windows would take for it."""
        exact = self._by_name.get(_plain(name))
        if exact:
            return exact
        alike = _plain(name).casefold()
        return [file for known, files in self._by_name.items() if known.casefold() == alike for file in files]

    def _rank(self, file: Path, wanted: PurePosixPath, subset: str) -> tuple[int, bool]:
        folders = [_plain(part) for part in file.relative_to(self._root).parts[:-1]]
        asked = [_plain(part) for part in wanted.parts[:-1]]
        common = 0
        while common < min(len(folders), len(asked)) and folders[-1 - common] == asked[-1 - common]:
            common += 1
        return common, _plain(subset) in folders


def without_upload_mark(name: str) -> str:
    """A file's name without the eight digits that Label Studio puts before it."""
    return _UPLOAD_MARK.sub("", name)


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _path_of(name: str) -> PurePosixPath:
    """The relative path at the end of whatever a tool wrote; folders ``..`` are left out."""
    text = name.strip()
    if _SCHEME.match(text) or text.startswith("/data/local-files"):
        with contextlib.suppress(ValueError):  # what only looks like an address is a path
            address = urlsplit(text)
            text = unquote(parse_qs(address.query).get("d", [address.path])[0])
    text = _DRIVE.sub("", text.replace("\\", "/"))
    return PurePosixPath(*(part for part in PurePosixPath(text).parts if part not in ("/", "//", "..")))
