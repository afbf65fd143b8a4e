"""A bundle file: opened without unpacking, every file checked against its hash."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np

from edgeflow.contracts.images import RgbImage, decode_image
from edgeflow.contracts.manifest import MANIFEST_NAME, RECORDED, GoldenPart, Graph, Manifest, parse_manifest
from edgeflow.contracts.scoring import FloatArray, Masks, PixelStatistics
from edgeflow.errors import IntegrityError, UsageError

__all__ = ["Bundle", "GoldenExpectation"]

MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_FILE_BYTES = 2 * 1024**3
MAX_FILES = 1000


@dataclass(frozen=True, kw_only=True)
class GoldenExpectation:
    """What was computed for a golden part at export.

    Attributes:
        maps: by the trained model, (V, h, w), before pixel statistics.
        recorded: graph id → maps by that graph, for quantized graphs.
        part: the trained model's raw part score.
        masks: foreground masks (V, h, w) by the trained model; None where every pixel counts.
    """

    maps: FloatArray
    recorded: Mapping[str, FloatArray]
    part: float
    masks: Masks | None

    def maps_for(self, graph: Graph) -> FloatArray:
        """What a graph must reproduce: fp32 the trained model, int8 what it gave itself at export."""
        return self.maps if graph.precision == "fp32" else self.recorded[graph.id]


class Bundle:
    """An opened bundle. Files are read into memory on demand and never touch the disk.

    Attributes:
        manifest: the checked manifest.
        sha256: hash of the manifest, which holds the hash of everything else.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, manifest: Manifest, sha256: str) -> None:
        self.path = path
        self.manifest = manifest
        self.sha256 = sha256
        self._archive = archive

    @classmethod
    def open(cls, path: Path) -> Bundle:
        """Open a bundle and check every file in it.

        Raises:
            UsageError: there is no such file, or it may not be read.
            IntegrityError: not a bundle, newer format, or a file missing, unlisted or altered.
        """
        try:
            archive = zipfile.ZipFile(path)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as cause:
            raise UsageError(
                f"{path}: no such bundle; make one with 'edgeflow export CHECKPOINT -o {path.name}'"
            ) from cause
        except PermissionError as cause:
            raise UsageError(f"{path}: this user may not read it; change its owner or rights") from cause
        except (OSError, zipfile.BadZipFile) as cause:
            raise IntegrityError(
                f"{path}: not a bundle, or cut off: {cause}; copy it to this box again"
            ) from cause
        try:
            raw = _read_manifest(path, archive)
            manifest = parse_manifest(raw, what=str(path))
            bundle = cls(path, archive, manifest, hashlib.sha256(raw).hexdigest())
            _check_names(path, archive, manifest)
            bundle._check_hashes()
        except BaseException:
            archive.close()
            raise
        return bundle

    def close(self) -> None:
        """Close the file; safe to call twice."""
        self._archive.close()

    def __enter__(self) -> Bundle:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def read(self, name: str) -> bytes:
        """The bytes of one file, checked against its hash.

        Raises:
            IntegrityError: missing, altered or unreadable.
        """
        record = self.manifest.files[name]
        try:
            with self._archive.open(name) as file:
                data = file.read(record.size + 1)
        except (
            OSError,
            KeyError,
            RuntimeError,
            NotImplementedError,
            zipfile.BadZipFile,
            ValueError,
        ) as cause:
            raise IntegrityError(f"{self.path}: {name} cannot be read: {cause}") from cause
        except Exception as cause:
            raise IntegrityError(f"{self.path}: {name} is damaged: {cause}") from cause
        if len(data) != record.size or hashlib.sha256(data).hexdigest() != record.sha256:
            raise IntegrityError(
                f"{self.path}: {name} is not what was exported (hash mismatch); copy the bundle again"
            )
        return data

    def statistics(self) -> PixelStatistics | None:
        """Pixel statistics of normal parts, where the scoring uses them."""
        name = self.manifest.scoring.pixel_statistics
        if name is None:
            return None
        arrays = self._arrays(name)
        return PixelStatistics(mean=arrays["mean"], std=arrays["std"])

    def fixed_masks(self) -> Masks:
        """The foreground masks (V, h, w) of a bundle that carries one per view."""
        spec = self.manifest.foreground
        if spec is None or spec.masks is None:
            raise IntegrityError(f"{self.path}: holds no fixed foreground masks")
        arrays = self._arrays(spec.masks)
        if "masks" not in arrays:
            raise IntegrityError(f"{self.path}: {spec.masks} lacks masks; export the bundle again")
        return np.asarray(arrays["masks"], np.uint8)

    def golden_images(self, part: GoldenPart) -> dict[str, RgbImage]:
        """Decoded images of a golden part: view → uint8 (H, W, 3)."""
        return {view: decode_image(self.read(name), what=name) for view, name in part.images.items()}

    def golden_expectation(self, part: GoldenPart) -> GoldenExpectation:
        """What the trained model computes for a golden part."""
        arrays = self._arrays(part.expected)
        recorded = {
            key.removeprefix(RECORDED): maps for key, maps in arrays.items() if key.startswith(RECORDED)
        }
        quantized = {graph.id for graph in self.manifest.graphs if graph.precision != "fp32"}
        if not {"maps", "part"} <= set(arrays) or not quantized <= set(recorded):
            raise IntegrityError(f"{self.path}: {part.expected} lacks expected maps; export the bundle again")
        if (self.manifest.foreground is not None) != ("masks" in arrays):
            raise IntegrityError(f"{self.path}: {part.expected} lacks foreground masks, or has needless ones")
        masks = np.asarray(arrays["masks"], np.uint8) if "masks" in arrays else None
        return GoldenExpectation(
            maps=arrays["maps"], recorded=recorded, part=float(arrays["part"]), masks=masks
        )

    def _arrays(self, name: str) -> Mapping[str, FloatArray]:
        try:
            with np.load(io.BytesIO(self.read(name)), allow_pickle=False) as arrays:
                return {key: np.asarray(arrays[key], np.float32) for key in arrays.files}
        except (ValueError, OSError, KeyError, zipfile.BadZipFile) as cause:
            raise IntegrityError(f"{self.path}: {name} is not an array file: {cause}") from cause

    def _check_hashes(self) -> None:
        problems = []
        for name in self.manifest.files:
            try:
                self.read(name)
            except IntegrityError as error:
                problems.append(error.message.removeprefix(f"{self.path}: "))
        if problems:
            raise IntegrityError(f"{self.path}: altered or damaged; copy the bundle again", problems=problems)


def _read_manifest(path: Path, archive: zipfile.ZipFile) -> bytes:
    try:
        if archive.getinfo(MANIFEST_NAME).file_size > MAX_MANIFEST_BYTES:
            raise IntegrityError(f"{path}: {MANIFEST_NAME} is larger than {MAX_MANIFEST_BYTES} bytes")
        with archive.open(MANIFEST_NAME) as file:
            raw = file.read(MAX_MANIFEST_BYTES + 1)
    except KeyError as cause:
        raise IntegrityError(f"{path}: not a bundle: no {MANIFEST_NAME} in it") from cause
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile) as cause:
        raise IntegrityError(f"{path}: {MANIFEST_NAME} cannot be read: {cause}") from cause
    return raw


def _check_names(path: Path, archive: zipfile.ZipFile, manifest: Manifest) -> None:
    names = [info.filename for info in archive.infolist()]
    allowed = {MANIFEST_NAME, *manifest.files}
    problems = [f"{name}: not listed in the manifest" for name in sorted(set(names) - allowed)]
    problems += [f"{name}: listed in the manifest, not in the file" for name in sorted(allowed - set(names))]
    problems += [f"{name}: there twice" for name in sorted({n for n in names if names.count(n) > 1})]
    if len(names) > MAX_FILES:
        problems = [f"{len(names)} files, at most {MAX_FILES} allowed"]
    problems += [
        f"{n}: {r.size} bytes is too large" for n, r in manifest.files.items() if r.size > MAX_FILE_BYTES
    ]
    if problems:
        raise IntegrityError(f"{path}: contents do not match its manifest", problems=problems)
