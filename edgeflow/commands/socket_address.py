"""Short address of a Unix socket: it has 108 bytes at most, however long its path is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["short_address"]


@contextmanager
def short_address(path: Path) -> Iterator[str]:
    """Yield an address in which a descriptor replaces the socket's folder; valid inside the context.

    Raises:
        OSError: no such folder.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
