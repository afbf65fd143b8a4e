"""A bundle file: signature first, then every file against its hash, and what the files hold."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import numpy as np

from edgeflow.bundles.archive import Archive
from edgeflow.contracts.images import RgbImage, decode_image
from edgeflow.contracts.manifest import MANIFEST_NAME, RECORDED, GoldenPart, Graph, Manifest, parse_manifest
from edgeflow.contracts.preprocess import reading_of
from edgeflow.contracts.scoring import FloatArray, Masks, PixelStatistics
from edgeflow.contracts.signature import (
    MAX_SIGNATURE_BYTES,
    SIGNATURE_NAME,
    Signature,
    TrustedKeys,
    parse_signature,
    verify_signature,
)
from edgeflow.errors import IntegrityError

__all__ = ["Bundle", "GoldenExpectation", "read_manifest"]

MAX_MANIFEST_BYTES = 1024 * 1024
MAX_ARRAY_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class GoldenExpectation:
    """The results computed for a golden part at export.

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
        """Return the maps to reproduce: fp32 the trained model, int8 what it gave itself at export."""
        return self.maps if graph.precision == "fp32" else self.recorded[graph.id]


class Bundle:
    """An opened bundle. Files are read into memory on demand and never touch the disk.

    Attributes:
        raw_manifest: its manifest's bytes, which a signature covers.
        manifest: the checked manifest.
        sha256: hash of the manifest, which holds the hash of everything else.
        signature: who says to have signed it; proven only where trusted keys were given to ``open``.
    """

    def __init__(self, archive: Archive, raw: bytes, manifest: Manifest, signature: Signature | None) -> None:
        self.path = archive.path
        self.raw_manifest = raw
        self.manifest = manifest
        self.sha256 = hashlib.sha256(raw).hexdigest()
        self.signature = signature
        self._archive = archive

    @classmethod
    def open(cls, path: Path, *, trusted: TrustedKeys | None = None) -> Bundle:
        """Open a bundle and check every file in it.

        Args:
            trusted: where given, the manifest must carry the signature of one of these keys; this is
                proven before the manifest is parsed.

        Raises:
            UsageError: there is no such file, or it may not be read.
            IntegrityError: not a bundle, newer format, not signed by a trusted key, or a file missing,
                unlisted or altered.
        """
        archive = Archive(path)
        try:
            raw = archive.read(MANIFEST_NAME, limit=MAX_MANIFEST_BYTES)
            signature = _read_signature(archive)
            if trusted is not None:
                verify_signature(raw, signature, trusted, what=str(path))
            manifest = parse_manifest(raw, what=str(path))
            _check_contents(archive, manifest)
            bundle = cls(archive, raw, manifest, signature)
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
        data = self._archive.whole(name)
        self._compare(name, hashlib.sha256(data).hexdigest())
        return data

    def statistics(self) -> PixelStatistics | None:
        """Pixel statistics of normal parts, where the scoring uses them."""
        name = self.manifest.scoring.pixel_statistics
        if name is None:
            return None
        arrays = self._arrays(name, "mean", "std")
        return PixelStatistics(mean=arrays["mean"], std=arrays["std"])

    def fixed_masks(self) -> Masks:
        """The foreground masks (V, h, w) of a bundle that carries one per view."""
        spec = self.manifest.foreground
        if spec is None or spec.masks is None:
            raise IntegrityError(f"{self.path}: holds no fixed foreground masks")
        return np.asarray(self._arrays(spec.masks, "masks")["masks"], np.uint8)

    def golden_images(self, part: GoldenPart) -> dict[str, RgbImage]:
        """Decoded images of a golden part: view → uint8 (H, W, 3)."""
        reading = reading_of(self.manifest.preprocessing)
        if reading.orientation == "refused":  # they were recorded by a version that did not turn them
            reading = replace(reading, orientation="ignored")
        images = part.images.items()
        return {view: decode_image(self.read(name), what=name, reading=reading) for view, name in images}

    def golden_expectation(self, part: GoldenPart) -> GoldenExpectation:
        """Read the trained model's results for a golden part."""
        arrays = self._arrays(part.expected, "maps", "part")
        recorded = {
            key.removeprefix(RECORDED): maps for key, maps in arrays.items() if key.startswith(RECORDED)
        }
        quantized = {graph.id for graph in self.manifest.graphs if graph.precision != "fp32"}
        if not quantized <= set(recorded) or arrays["part"].size != 1:
            raise IntegrityError(f"{self.path}: {part.expected} lacks expected maps; export the bundle again")
        if (self.manifest.foreground is not None) != ("masks" in arrays):
            raise IntegrityError(f"{self.path}: {part.expected} lacks foreground masks, or has needless ones")
        masks = np.asarray(arrays["masks"], np.uint8) if "masks" in arrays else None
        return GoldenExpectation(
            maps=arrays["maps"], recorded=recorded, part=float(arrays["part"]), masks=masks
        )

    def _arrays(self, name: str, *needed: str) -> Mapping[str, FloatArray]:
        data = self.read(name)
        try:
            arrays = _load_arrays(data)
        except Exception as cause:  # zip, deflate and array header each have their own errors
            raise IntegrityError(f"{self.path}: {name} is not an array file: {cause}") from cause
        if not set(needed) <= set(arrays):
            raise IntegrityError(f"{self.path}: {name} lacks {', '.join(needed)}; export the bundle again")
        return arrays

    def _check_hashes(self) -> None:
        problems = []
        for name in self.manifest.files:
            digest = hashlib.sha256()
            try:
                for chunk in self._archive.chunks(name):
                    digest.update(chunk)
                self._compare(name, digest.hexdigest())
            except IntegrityError as error:
                problems.append(error.message.removeprefix(f"{self.path}: "))
        if problems:
            raise IntegrityError(f"{self.path}: altered or damaged; copy the bundle again", problems=problems)

    def _compare(self, name: str, sha256: str) -> None:
        if sha256 != self.manifest.files[name].sha256:
            raise IntegrityError(
                f"{self.path}: {name} is not what was exported (hash mismatch); copy the bundle again"
            )


def _load_arrays(data: bytes) -> dict[str, FloatArray]:
    with zipfile.ZipFile(io.BytesIO(data)) as inner:
        size = sum(info.file_size for info in inner.infolist())
    if size > MAX_ARRAY_BYTES:
        raise ValueError(f"{size} bytes of arrays, at most {MAX_ARRAY_BYTES}")
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        return {key: np.asarray(arrays[key], np.float32) for key in arrays.files}


def read_manifest(path: Path) -> Manifest:
    """The manifest alone: no signature, hash or file is checked.

    Raises:
        UsageError, IntegrityError: no such file, or not a bundle.
    """
    archive = Archive(path)
    try:
        return parse_manifest(archive.read(MANIFEST_NAME, limit=MAX_MANIFEST_BYTES), what=str(path))
    finally:
        archive.close()


def _read_signature(archive: Archive) -> Signature | None:
    if SIGNATURE_NAME not in archive.names:
        return None
    raw = archive.read(SIGNATURE_NAME, limit=MAX_SIGNATURE_BYTES)
    return parse_signature(raw, what=str(archive.path))


def _check_contents(archive: Archive, manifest: Manifest) -> None:
    """The archive holds what the manifest lists, of the listed sizes; nothing is inflated for it."""
    present, listed = set(archive.names) - {MANIFEST_NAME, SIGNATURE_NAME}, set(manifest.files)
    problems = [f"{name}: not listed in the manifest" for name in sorted(present - listed)]
    problems += [f"{name}: listed in the manifest, not in the file" for name in sorted(listed - present)]
    problems += [
        f"{name}: {archive.size(name)} bytes, listed with {manifest.files[name].size} (altered)"
        for name in sorted(listed & present)
        if archive.size(name) != manifest.files[name].size
    ]
    if problems:
        raise IntegrityError(f"{archive.path}: contents do not match its manifest", problems=problems)
