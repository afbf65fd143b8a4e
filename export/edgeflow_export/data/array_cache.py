"""Arrays of parts, each computed once and kept on disk in a file named after all that decides its values."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from rich.progress import Progress

from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.images import RgbImage, decode_image
from edgeflow.errors import DataError, StorageError
from edgeflow_export.data.dataset import READERS, Dataset, ahead
from edgeflow_export.progress import progress_bar

__all__ = ["Array", "CachedKind", "cache_arrays", "default_cache_dir", "read_array"]

Array = npt.NDArray[Any]
X = TypeVar("X")

_SPARE_BYTES = 256 << 20  # left free on the disk
_UNWRITTEN = 4  # arrays that wait in memory for the disk
_PARTIAL = ".partial"
_ABANDONED_S = 3600.0  # whoever writes a file is done long before


@dataclass(frozen=True, kw_only=True)
class CachedKind(Generic[X]):
    """One kind of array that every part has, and how it is made.

    Attributes:
        name: what the arrays are, for messages and as a folder: ``features``.
        identity: hash of all that decides the values besides images and views: network, sizes.
        shape: of one part's array, the views first.
        load: what is needed of a part's images, uint8 (H, W, 3) per view as recorded; called in threads.
        compute: the array from what ``load`` gave; called in the caller's thread, one part at a time.
        by_name: the values depend on the part's and views' names as well.
    """

    name: str
    identity: str
    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    load: Callable[[Sequence[RgbImage]], X]
    compute: Callable[[RecordedPart, X], Array]
    by_name: bool = False

    @property
    def bytes(self) -> int:
        """Size of one part's array."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


def default_cache_dir() -> Path:
    """``$XDG_CACHE_HOME/edgeflow``, or ``~/.cache/edgeflow``; it may be deleted at any time.

    Raises:
        StorageError: this user has no home folder.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    if base:
        return Path(base) / "edgeflow"
    try:
        return Path.home() / ".cache" / "edgeflow"
    except RuntimeError as cause:
        raise StorageError(
            "this user has no home folder for the cache; name a folder in the environment as XDG_CACHE_HOME"
        ) from cause


def cache_arrays(
    parts: Sequence[RecordedPart],
    dataset: Dataset,
    kind: CachedKind[X],
    *,
    folder: Path,
    progress: bool = True,
) -> tuple[Path, ...]:
    """One file per part: those on disk are taken as they are, the others computed.

    A file is complete or not there, whenever this is interrupted; several processes may fill one folder.

    Args:
        folder: the cache; the files lie in a folder of the kind and its identity in there.

    Raises:
        DataError: an image cannot be decoded, or values are not finite; part, view and file are named.
        StorageError: the disk has too little room, or cannot be written.
    """
    target = folder / kind.name / kind.identity[:16]
    with _folder_errors(target, kind.name):
        target.mkdir(parents=True, exist_ok=True)
        _sweep(target)
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task(f"{kind.name} looked up", total=len(parts), note="")
        looked_up: list[tuple[Path, bool]] = []
        for found in ahead(lambda part: _look_up(part, dataset, kind, target), parts):
            looked_up.append(found)
            bar.update(task, advance=1)
        missing = {path: part for part, (path, there) in zip(parts, looked_up, strict=True) if not there}
        if missing:
            _require_room(target, kind, len(missing))
            say = bar.console.print if progress else _nothing
            say(
                f"{kind.name}: {len(missing)} of {len(parts)} parts to compute, "
                f"{_size(len(missing) * kind.bytes)} in {target}",
                highlight=False,
                soft_wrap=True,
            )
            _fill(list(missing.values()), dataset, kind, target, bar, say)
    return tuple(path for path, _ in looked_up)


def read_array(path: Path, name: str) -> Array:
    """A cached array, mapped into memory.

    Raises:
        StorageError: it has been deleted or damaged.
    """
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
    except (OSError, ValueError, EOFError) as cause:
        raise StorageError(f"{path}: cached {name} cannot be read: {cause}; run the command again") from cause


def _look_up(part: RecordedPart, dataset: Dataset, kind: CachedKind[X], folder: Path) -> tuple[Path, bool]:
    """Return the path of a part's array in the cache, and True if it is there."""
    path = _place(part, dataset, kind, folder, _contents(part, dataset))
    return path, _is_whole(path, kind)


def _contents(part: RecordedPart, dataset: Dataset) -> list[bytes]:
    try:
        return [part.images[view].read_bytes() for view in dataset.view_ids]
    except OSError as cause:
        raise DataError(f"part {part.part_id}: {cause.filename}: {cause.strerror}; check the path") from cause


def _place(
    part: RecordedPart, dataset: Dataset, kind: CachedKind[X], folder: Path, contents: Sequence[bytes]
) -> Path:
    digest = hashlib.sha256(f"{kind.identity} {kind.shape} {np.dtype(kind.dtype).str}".encode())
    digest.update(repr(dataset.reading).encode())
    for view, content in zip(dataset.views, contents, strict=True):
        digest.update(view.model_dump_json(exclude=None if kind.by_name else {"id"}).encode())
        digest.update(hashlib.sha256(content).digest())
    if kind.by_name:
        digest.update(part.part_id.encode())
    return folder / f"{digest.hexdigest()[:40]}.npy"


def _is_whole(path: Path, kind: CachedKind[X]) -> bool:
    """True if a file holds its array: a shorter file than its header promises cannot be mapped."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(array.shape == kind.shape and array.dtype == kind.dtype)


def _fill(
    parts: Sequence[RecordedPart],
    dataset: Dataset,
    kind: CachedKind[X],
    folder: Path,
    bar: Progress,
    say: Callable[..., None],
) -> None:
    """Compute and write arrays; reading goes ahead and writing lags behind in other threads."""
    task = bar.add_task(kind.name, total=len(parts), note="")
    # Leaving the block waits for the writer, also when interrupted: what was computed is kept.
    with ThreadPoolExecutor(1) as writer:
        writing: deque[Future[None]] = deque()
        readable = ahead(lambda part: _load(part, dataset, kind, folder), parts, most=READERS)
        began_s = time.monotonic()
        for count, (part, (path, loaded)) in enumerate(zip(parts, readable, strict=True)):
            array = _checked(kind.compute(part, loaded), part, dataset, kind)
            writing.append(writer.submit(_write, path, array, kind.name))
            while len(writing) > _UNWRITTEN or (writing and writing[0].done()):
                writing.popleft().result()
            bar.update(task, advance=1)
            if count == 0 and len(parts) > 1:
                each_s = time.monotonic() - began_s
                left = _duration(each_s * (len(parts) - 1))
                say(f"{kind.name}: about {left} to go, {each_s:.2g} s per part", highlight=False)
        for future in writing:
            future.result()


def _load(part: RecordedPart, dataset: Dataset, kind: CachedKind[X], folder: Path) -> tuple[Path, X]:
    """Return the path of the array for the present files, and the data that it is computed from."""
    contents = _contents(part, dataset)
    images = [
        decode_image(content, what=str(part.images[view]), reading=dataset.reading)
        for view, content in zip(dataset.view_ids, contents, strict=True)
    ]
    try:
        loaded = kind.load(images)
    except DataError as cause:  # which says the view, and not the part
        raise DataError(f"part {part.part_id}: {cause.message}") from cause
    return _place(part, dataset, kind, folder, contents), loaded


def _checked(array: Array, part: RecordedPart, dataset: Dataset, kind: CachedKind[X]) -> Array:
    if array.shape != kind.shape or array.dtype != kind.dtype:
        raise DataError(
            f"part {part.part_id}: {kind.name} are {array.dtype} {array.shape}, expected "
            f"{np.dtype(kind.dtype)} {kind.shape}; the network must give the same for every part"
        )
    for view, values in zip(dataset.view_ids, array, strict=True):
        if not np.isfinite(values).all():
            raise DataError(
                f"part {part.part_id}, view {view}: {kind.name} are not finite; check the network's weights "
                f"and the image {part.images[view]}"
            )
    return array


def _write(path: Path, array: Array, name: str) -> None:
    # No two writers share a partial file, not even on two machines.
    partial = path.with_suffix(f".{secrets.token_hex(6)}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            # After a power failure a file could else have its length but not its content.
            os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    except OSError as cause:
        partial.unlink(missing_ok=True)
        raise StorageError(
            f"{path}: {name} cannot be written: {cause}; free some space or check rights, then run the "
            "command again: what is complete is kept"
        ) from cause


def _sweep(folder: Path) -> None:
    """Remove what killed processes have left half-written."""
    for partial in folder.glob(f"*{_PARTIAL}"):
        try:
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                partial.unlink()
        except FileNotFoundError:
            continue  # another process was faster


def _require_room(folder: Path, kind: CachedKind[X], count: int) -> None:
    """Refuse before the first part rather than fill the disk."""
    with _folder_errors(folder, kind.name):
        free = max(0, shutil.disk_usage(folder).free - _SPARE_BYTES)
    needed = count * kind.bytes
    if needed > free:
        raise StorageError(
            f"{folder}: {kind.name} of {count} parts need {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB "
            "are free; free some space, or choose another cache folder"
        )


@contextmanager
def _folder_errors(folder: Path, name: str) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise StorageError(f"{folder}: no cache of {name} can be made: {cause}; choose another") from cause


def _nothing(*_: object, **__: object) -> None:
    pass


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.3g} MB"


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
