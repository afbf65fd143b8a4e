"""The link that a box's ``bundle:`` names: it always points to the old one or the new one."""

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
    if path in (current, *_past(current)) or not path.is_file():
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
    known = [link.parent / link.readlink() for link in _past(current) if link.is_symlink()]
    # A switch that was killed half way leaves the present bundle as its own predecessor.
    other = [target for target in known if not (target.is_file() and target.samefile(current))]
    if not other:
        raise UsageError(f"{current}: no bundle before this one is known; see 'reload bundle=NAME'")
    if not other[0].is_file():
        raise UsageError(f"{other[0]}: the bundle before this one has gone; copy it there again")
    return other[0]


def switch(current: Path, target: Path) -> None:
    """Let the link point to another bundle; the one that it leaves becomes the previous one.

    All links are renamed into place, the oldest first: killed at any step, ``current`` names the old bundle
    or the new one, and the one before it is still known.

    Raises:
        UsageError: ``current`` is no link.
        StorageError: the folder cannot be written.
    """
    _check_is_link(current)
    try:
        previous, before = _past(current)
        if previous.is_symlink() and previous.readlink() != current.readlink():
            _put_link(before, previous.readlink())
        _put_link(previous, current.readlink())
        _put_link(current, Path(target.name) if target.parent == current.parent else target)
    except OSError as cause:
        raise StorageError(
            f"{current}: cannot be switched: {cause.strerror}; let this user write in {current.parent}"
        ) from cause


def _past(current: Path) -> tuple[Path, Path]:
    """The link to the bundle before, and to the one before that."""
    return previous_link(current), current.with_name(f"{current.stem}.before{current.suffix}")


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
