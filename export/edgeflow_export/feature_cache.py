"""Features of all parts, computed once and kept on disk, each part a file named after its content."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from edgeflow.contracts.images import decode_image
from edgeflow.contracts.parts import RecordedPart
from edgeflow.contracts.preprocess import prepare
from edgeflow.errors import DataError, StorageError
from edgeflow_export.datasets import Dataset, Images, ahead
from edgeflow_export.extractors import normalised, output_shape
from edgeflow_export.progress import progress_bar

__all__ = ["FeatureStore", "cache_features", "default_cache_dir"]

_SPARE_BYTES = 256 << 20  # left free on the disk


@dataclass(frozen=True, kw_only=True)
class FeatureStore:
    """Raw features of parts, memory-mapped.

    Attributes:
        paths: one file per part, float32 (V, C, h, w) each.
        shape: (V, C, h, w).
    """

    paths: tuple[Path, ...]
    shape: tuple[int, int, int, int]

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, indices: Sequence[int]) -> Tensor:
        """Features of several parts (B, V, C, h, w), float32."""
        return torch.from_numpy(np.stack([self._read(self.paths[index]) for index in indices]))

    def __iter__(self) -> Iterator[Tensor]:
        """Features (V, C, h, w) of each part."""
        return (self.batch([index])[0] for index in range(len(self)))

    @staticmethod
    def _read(path: Path) -> npt.NDArray[np.float32]:
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except (OSError, ValueError, EOFError) as cause:
            raise StorageError(f"{path}: cached features cannot be read: {cause}; train again") from cause


def default_cache_dir() -> Path:
    """``$XDG_CACHE_HOME/edgeflow``, or ``~/.cache/edgeflow``; it may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edgeflow"


def cache_features(
    parts: Sequence[RecordedPart],
    dataset: Dataset,
    extractor: nn.Module,
    *,
    identity: str,
    folder: Path,
    progress: bool = True,
    device: str = "cpu",
) -> FeatureStore:
    """Features of all parts: those on disk are taken as they are, the others computed.

    Args:
        identity: hash of the extractor; see ``extractor_identity``.
        folder: the cache; a file in it is complete or not there.

    Raises:
        DataError: an image cannot be decoded, or its features are not finite.
        StorageError: the disk has too little room, or cannot be written.
    """
    size = (dataset.preprocessing.height, dataset.preprocessing.width)
    shape = (len(dataset.views), *output_shape(extractor, *size))
    target = folder / "features" / identity[:16]
    target_extractor = extractor.to(device)
    _check_room(target, len(parts), shape)
    paths: list[Path] = []
    with progress_bar(enabled=progress) as bar:
        task = bar.add_task("features", total=len(parts), note="")
        readable = ahead(lambda part: _read_unless_cached(part, dataset, target, shape), parts)
        for part, (path, images) in zip(parts, readable, strict=True):
            if images is not None:
                _write(path, _features(images, target_extractor, part, dataset, device))
            paths.append(path)
            bar.advance(task)
    extractor.to("cpu")
    return FeatureStore(paths=tuple(paths), shape=shape)


def _read_unless_cached(
    part: RecordedPart, dataset: Dataset, folder: Path, shape: tuple[int, ...]
) -> tuple[Path, Images | None]:
    """Where a part's features belong, and its model images if they are not there yet."""
    files = [part.images[view.id] for view in dataset.views]
    try:
        contents = [file.read_bytes() for file in files]
    except OSError as cause:
        raise DataError(f"part {part.part_id}: {cause.filename}: {cause.strerror}; check the path") from cause
    digest = hashlib.sha256(dataset.preprocessing.model_dump_json().encode())
    for view, content in zip(dataset.views, contents, strict=True):
        digest.update(view.model_dump_json(exclude={"id"}).encode())
        digest.update(hashlib.sha256(content).digest())
    path = folder / f"{digest.hexdigest()[:40]}.npy"
    if _is_whole(path, shape):
        return path, None
    images = [
        prepare(decode_image(content, what=str(file)), view, dataset.preprocessing)
        for view, file, content in zip(dataset.views, files, contents, strict=True)
    ]
    return path, np.stack(images)


def _is_whole(path: Path, shape: tuple[int, ...]) -> bool:
    """Whether a file holds features: a shorter file than its header promises cannot be mapped."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return False
    return bool(array.shape == shape and array.dtype == np.float32)


def _features(
    images: Images, extractor: nn.Module, part: RecordedPart, dataset: Dataset, device: str
) -> npt.NDArray[np.float32]:
    with torch.inference_mode():
        features = extractor(normalised(torch.from_numpy(images).to(device))).float().cpu().numpy()
    for view, values in zip(dataset.view_ids, features, strict=True):
        if not np.isfinite(values).all():
            raise DataError(
                f"part {part.part_id}, view {view}: the extractor's features are not finite; check its "
                f"weights and the image {part.images[view]}"
            )
    return features  # type: ignore[no-any-return]


def _write(path: Path, features: npt.NDArray[np.float32]) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            np.save(file, features, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)  # noqa: PTH105 - the atomic form
    except OSError as cause:
        partial.unlink(missing_ok=True)
        raise StorageError(f"{path}: features cannot be written: {cause}; check space and rights") from cause


def _check_room(folder: Path, parts: int, shape: tuple[int, ...]) -> None:
    """Refuse before the first part rather than fill the disk."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        present = sum(1 for _ in folder.glob("*.npy"))
        free = shutil.disk_usage(folder).free - _SPARE_BYTES
    except OSError as cause:
        raise StorageError(f"{folder}: feature cache cannot be made: {cause}; choose another") from cause
    needed = max(0, parts - present) * int(np.prod(shape)) * 4
    if needed > free:
        raise StorageError(
            f"{folder}: features of {parts} parts need {needed / 1e9:.1f} GB, {max(0, free) / 1e9:.1f} GB "
            "are free; free some space, or choose another cache folder"
        )
