"""Results of an export's costly stages, kept so that an interrupted export goes on where it stopped."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import nn

import edgeflow
import edgeflow_export
from edgeflow.contracts.datasets.find_parts import RecordedPart
from edgeflow.contracts.scoring import PixelStatistics
from edgeflow.errors import DataError
from edgeflow_export.data.array_cache import Array
from edgeflow_export.data.dataset import Dataset

__all__ = ["StageResults", "module_identity", "statistics_identity"]

MOST_BYTES = 4 << 30
_PARTIAL = ".partial"
_ABANDONED_S = 3600.0
_LIBRARIES = ("torch", "onnx", "onnxscript", "openvino", "onnxruntime", "nncf", "numpy", "pillow")


class StageResults:
    """Arrays in files named after all that decides them: other inputs never meet an old result.

    A file is whole or not there. A result that cannot be kept costs a repetition, never the export.

    Args:
        folder: None keeps nothing.
        reuse: False computes everything anew, and keeps it.
        most_bytes: what all kept results may take; the longest unused go first.
        say: told what is taken over, what cannot be kept, and how far a long stage is.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        reuse: bool = True,
        most_bytes: int = MOST_BYTES,
        say: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._folder, self._reuse, self.say = folder, reuse, say
        self._most_bytes = most_bytes
        self._part_digests: dict[tuple[str, str], str] = {}

    def kept(
        self, stage: str, decided_by: Sequence[str], make: Callable[[], Mapping[str, Array]]
    ) -> Mapping[str, Array]:
        """The stage's result as kept by an earlier run, or made now.

        Args:
            decided_by: everything that the result depends on, besides this program and its libraries.
        """
        if self._folder is None:
            return make()
        key = hashlib.sha256("\n".join((_program(), stage, *decided_by)).encode()).hexdigest()
        path = self._folder / f"{key[:40]}.npz"
        found = _read(path) if self._reuse else None
        if found is not None:
            self.say(f"taken over from an earlier export: {stage}")
            return found
        made = make()
        self._write(path, stage, made)
        return made

    def kept_files(
        self, stage: str, decided_by: Sequence[str], make: Callable[[], Mapping[str, bytes]]
    ) -> dict[str, bytes]:
        """As :meth:`kept`, for files."""
        arrays = self.kept(
            stage, decided_by, lambda: {n: np.frombuffer(data, np.uint8) for n, data in make().items()}
        )
        return {name: array.tobytes() for name, array in arrays.items()}

    def parts_identity(self, parts: Sequence[RecordedPart], data: Dataset) -> str:
        """A hash of parts' images and of how the model sees them; of nothing where nothing is kept."""
        if self._folder is None:
            return ""
        digest = hashlib.sha256(data.preprocessing.model_dump_json().encode())
        for view in data.views:
            digest.update(view.model_dump_json().encode())
            for part in parts:
                digest.update(self._image_digest(part, view.id).encode())
        return digest.hexdigest()

    def _image_digest(self, part: RecordedPart, view: str) -> str:
        known = self._part_digests.get((part.part_id, view))
        if known is not None:
            return known
        path = part.images[view]
        try:
            found = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as cause:
            raise DataError(f"part {part.part_id}: {path}: {cause.strerror}; check the path") from cause
        self._part_digests[part.part_id, view] = found
        return found

    def _write(self, path: Path, stage: str, arrays: Mapping[str, Array]) -> None:
        partial = path.with_suffix(f".{secrets.token_hex(6)}{_PARTIAL}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                np.savez(file, allow_pickle=False, **{_stored(name): value for name, value in arrays.items()})
                file.flush()
                os.fsync(file.fileno())  # after a power failure a file could else have its name alone
            os.replace(partial, path)  # noqa: PTH105 - the atomic form
            _make_room(path.parent, self._most_bytes)
        except OSError as cause:
            self.say(f"not kept, an interruption would repeat it: {stage}: {cause.strerror or cause}")
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)


def module_identity(module: nn.Module) -> str:
    """A hash of a module's structure, parameters and buffers."""
    digest = hashlib.sha256(repr(module).encode())
    for name, tensor in (*module.named_parameters(), *module.named_buffers()):
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def statistics_identity(statistics: PixelStatistics | None) -> str:
    """A hash of pixel statistics."""
    if statistics is None:
        return ""
    return hashlib.sha256(statistics.mean.tobytes() + statistics.std.tobytes()).hexdigest()


def _stored(name: str) -> str:
    return name.replace("/", "|")  # a slash would be a folder in the file


def _read(path: Path) -> dict[str, Array] | None:
    """Return the content of a file; None where it is not there, or damaged."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {name.replace("|", "/"): np.asarray(arrays[name]) for name in arrays.files}
        os.utime(path)
    except Exception:  # noqa: BLE001 - zip and array headers each have their own errors; it is made anew
        return None
    return found


def _make_room(folder: Path, most_bytes: int) -> None:
    """Remove what killed processes left half-written, and what was not used for longest."""
    for partial in folder.glob(f"*{_PARTIAL}"):
        if time.time() - partial.stat().st_mtime > _ABANDONED_S:
            partial.unlink(missing_ok=True)
    files = sorted(folder.glob("*.npz"), key=lambda file: file.stat().st_mtime)
    total = sum(file.stat().st_size for file in files)
    for file in files[:-1]:
        if total <= most_bytes:
            break
        total -= file.stat().st_size
        file.unlink(missing_ok=True)


@functools.cache
def _program() -> str:
    """This program's code, its libraries and the processor: another one of these may compute otherwise."""
    digest = hashlib.sha256()
    for package in (edgeflow, edgeflow_export):
        for folder in package.__path__:
            for file in sorted(Path(folder).rglob("*.py")):
                digest.update(file.read_bytes())
    for library in _LIBRARIES:
        digest.update(f"{library} {metadata.version(library)}".encode())
    digest.update(_processor().encode())
    return digest.hexdigest()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return "".join(sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))}))
