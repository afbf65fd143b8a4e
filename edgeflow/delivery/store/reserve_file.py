"""Reserve file: holds space on the disk, and is removed when the disk is full."""

from __future__ import annotations

import logging
import os
import shutil
from pathlib import Path

__all__ = ["BALLAST_BYTES", "ReserveFile"]

logger = logging.getLogger(__name__)

BALLAST_BYTES = 8_000_000  # the log of the database, a few times over


class ReserveFile:
    """File ``<path>.ballast``: on a full disk, even a deletion needs space for the write-ahead log."""

    def __init__(self, path: Path, size: int = BALLAST_BYTES) -> None:
        self._path = path.with_name(f"{path.name}.ballast")
        self._size = size

    def take(self) -> bool:
        """Occupy the space where twice as much is free; return True if it is occupied now."""
        try:
            if self._path.exists() and self._path.stat().st_size >= self._size:
                return True
            if not self.room():
                return False
            with self._path.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._size)
        except OSError as cause:
            logger.debug("no ballast: %s", cause)
            self.drop()
            return False
        return True

    def drop(self) -> bool:
        """Release the space; return True if there was any."""
        try:
            self._path.unlink()
        except FileNotFoundError:
            return False
        except OSError as cause:
            logger.debug("the ballast stays: %s", cause)
            return False
        return True

    def room(self) -> bool:
        """True if the disk has room for the file, and as much again."""
        return shutil.disk_usage(self._path.parent).free > 2 * self._size
