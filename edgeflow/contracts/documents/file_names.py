"""Names of files and folders as text that every message, database and terminal can hold."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

__all__ = ["as_text", "file_name", "is_foreign", "spelt_as"]

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LONGEST = 200  # bytes; file systems allow 255, and a suffix may follow
# Folders that file managers and file systems put beside one's own.
_FOREIGN = frozenset(
    {"__macosx", "@eadir", "#recycle", "$recycle.bin", "system volume information", "lost+found"}
)


def as_text(name: str) -> str:
    r"""A file's name as plain text, the same in every locale: what is not UTF-8 as ``\xfc``.

    So do control characters, which could end a line or speak to a terminal.
    """
    text = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


def spelt_as(name: str, known: Collection[str]) -> str:
    """A name as it is spelt among known ones: letters with accents are one sign on Linux, two on macOS."""
    if name in known:
        return name
    wanted = unicodedata.normalize("NFC", name)
    return next((other for other in known if unicodedata.normalize("NFC", other) == wanted), name)


def file_name(text: str) -> str:
    """A name for a file or folder out of a part's id: no slashes, and not too long for file systems."""
    name = text.replace("/", "_").encode()
    if len(name) > _LONGEST:
        start = name[: _LONGEST - 20].decode(errors="ignore").encode()
        name = start + b"-" + hashlib.sha256(name).hexdigest()[:16].encode()
    return os.fsdecode(name)  # the same bytes on the disk in every locale


def is_foreign(path: Path) -> bool:
    """True if a file or folder is hidden, or was put there by an operating system rather than its user."""
    return path.name.startswith(".") or path.name.lower() in _FOREIGN
