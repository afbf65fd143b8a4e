"""Names of a bundle's files, as the manifest holds them."""

from __future__ import annotations

from typing import Annotated

from edgeflow.contracts.documents.document import Text

__all__ = ["EntryName"]

# Relative, forward slashes, no dot-segments: the only names a bundle may hold.
EntryName = Annotated[
    str,
    Text(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$",
        words="a relative file name of letters, digits, . _ - and /",
    ),
]
