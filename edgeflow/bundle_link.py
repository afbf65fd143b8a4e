"""Which bundle file a box's ``bundle:`` names: a link that always points to the old one or the new one."""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from edgeflow.errors import StorageError, UsageError

__all__ = ["previous_link", "previous_target", "sibling", "switch"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def sibling(current: Path, name: str) -> Path:
    """The bundle of this name beside the link.

    Raises:
        UsageError: a path instead of a name, no such file, or ``current`` is no link.
    """
    _check_is_link(current)
    if not _NAME.fullmatch(name):
        raise UsageError(f"bundle {name!r}: give the file's name alone; it lies in {current.parent}")
    path = current.with_name(name)
    if name in (current.name, previous_link(current).name) or not path.is_file():
        raise UsageError(f"bundle {name}: no such bundle in {current.parent}; copy it there first")
    return path


def previous_link(current: Path) -> Path:
    """The link to the bundle before: ``current.previous.bundle`` beside ``current.bundle``."""
    return current.with_name(f"{current.stem}.previous{current.suffix}")


def previous_target(current: Path) -> Path:
    """The bundle file that ran before.

    Raises:
        UsageError: there is none, or it has gone.
    """
    _check_is_link(current)
    link = previous_link(current)
    if not link.is_symlink():
        raise UsageError(f"{current}: no bundle before this one is known; see 'reload bundle=NAME'")
    target = link.parent / link.readlink()
    if not target.is_file():
        raise UsageError(f"{target}: the bundle before this one has gone; copy it there again")
    if target.samefile(current):
        raise UsageError(f"{target}: runs already; see 'reload bundle=NAME' for another one")
    return target


def switch(current: Path, target: Path) -> None:
    """Let the link point to another bundle; the one that it leaves becomes the previous one.

    Both links are renamed into place: killed at any step, ``current`` names the old bundle or the new one.

    Raises:
        UsageError: ``current`` is no link.
        StorageError: the folder cannot be written.
    """
    _check_is_link(current)
    try:
        _put_link(previous_link(current), current.readlink())
        _put_link(current, Path(target.name) if target.parent == current.parent else target)
    except OSError as cause:
        raise StorageError(
            f"{current}: cannot be switched: {cause.strerror}; let this user write in {current.parent}"
        ) from cause


def _put_link(link: Path, target: Path) -> None:
    partial = link.with_name(f".{link.name}.new")
    try:
        partial.unlink(missing_ok=True)  # of a switch that was killed
        partial.symlink_to(target)
        partial.replace(link)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    folder = os.open(link.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_is_link(current: Path) -> None:
    if not current.is_symlink():
        raise UsageError(
            f"{current}: a file, not a link; to change bundles on a running box, let 'bundle:' name a link: "
            f"ln -s NAME.bundle {current.name}"
        )
