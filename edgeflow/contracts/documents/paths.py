"""Paths of a document made absolute against the document's own folder."""

from __future__ import annotations

from pathlib import Path

from edgeflow.contracts.documents.file_names import as_text
from edgeflow.errors import ConfigError

__all__ = ["against", "named_in_text"]


def against(base: Path, path: Path) -> Path:
    """A path of a document, with ``~`` as the user's home, relative to the document's folder.

    Raises:
        ConfigError: it names the home of a user that there is not.
    """
    try:
        return base / path.expanduser()
    except RuntimeError as cause:
        raise ConfigError(f"{path}: {cause}; write the whole path") from cause


def named_in_text(folder: Path) -> Path:
    """The folder itself, once it is known that records, messages and bundles can name it.

    Raises:
        ConfigError: its name is not UTF-8.
    """
    try:
        str(folder).encode()
    except UnicodeEncodeError as cause:
        raise ConfigError(f"the folder '{as_text(str(folder))}' is not UTF-8; rename it") from cause
    return folder
