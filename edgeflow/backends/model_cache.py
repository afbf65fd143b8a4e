"""The folder of compiled models: kept below its size, and gone without where it cannot be used."""

from __future__ import annotations

import logging
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["trim_cache", "usable_cache"]

logger = logging.getLogger(__name__)

_SUFFIXES = {".blob", ".cl_cache"}  # what OpenVINO writes; a folder named by mistake loses nothing else


def usable_cache(folder: Path | None, max_mb: float) -> Path | None:
    """The cache folder, made and trimmed; None, with a line in the log, where it cannot be written.

    A cache saves seconds at the start and decides nothing, so that no trouble with it stops a box.
    """
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"probe")
    except OSError as cause:
        logger.warning(
            "model cache %s cannot be written (%s): every start compiles anew; check runtime.cache_dir",
            folder,
            cause.strerror,
        )
        return None
    trim_cache(folder, max_mb)
    return folder


def trim_cache(folder: Path, max_mb: float) -> int:
    """Remove compiled models until the others are below ``max_mb``, those unused for longest first.

    Returns:
        How many were removed.
    """
    found = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # somebody tidies by hand
            if path.suffix in _SUFFIXES and path.is_file() and not path.is_symlink():
                state = path.stat()
                found.append((max(state.st_atime_ns, state.st_mtime_ns), state.st_size, path))
    excess = sum(size for _, size, _ in found) - max_mb * 1e6
    removed = 0
    for _, size, path in sorted(found):
        if excess <= 0:
            break
        try:
            path.unlink()
        except OSError as cause:
            logger.warning("model cache: %s cannot be removed: %s", path, cause.strerror)
            continue
        excess -= size
        removed += 1
    if removed:
        logger.info("model cache %s: %d compiled models removed, cap %g MB", folder, removed, max_mb)
    return removed
