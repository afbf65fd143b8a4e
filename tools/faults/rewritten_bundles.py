"""Bundles taken apart and put together again, altered."""

from __future__ import annotations

import json
import warnings
import zipfile
from pathlib import Path


def rewritten(source: Path, target: Path, change: dict[str, bytes | None], more: dict[str, bytes]) -> Path:
    """A copy of a bundle with entries changed (None: left out) and more entries appended."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of the doubled name that a test wants
        for name in old.namelist():
            data = change.get(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
        for name, data in more.items():
            new.writestr(name, data)
    return target


def manifest_of(path: Path) -> dict[str, object]:
    with zipfile.ZipFile(path) as archive:
        document: dict[str, object] = json.loads(archive.read("manifest.json"))
    return document
