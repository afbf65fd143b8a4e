"""Images, maps and record of one part as files in a folder of their own."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from edgeflow.config.box import EvidenceConfig
from edgeflow.contracts.datasets.part_label import KeptWhy
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, to_json
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import StorageError
from edgeflow.evidence.record import RECORD_FILE, RESULT_FILE, folder_name, record_text
from edgeflow.scoring.heatmap import heat_overlay

__all__ = ["EvidenceJob", "encode_png", "evidence_path", "write_evidence"]

# Noise of a sensor hardly repeats: runs alone give files as small, in less time. To choose a filter row by
# row takes 1.6 times as long.
_FAST_PNG = [
    *(cv2.IMWRITE_PNG_COMPRESSION, 1),
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
]

P = TypeVar("P", bound=np.generic)


@dataclass(frozen=True, kw_only=True)
class EvidenceJob:
    """Images, maps and result of one part; ``result.evidence`` names the folder.

    Attributes:
        originals: view → uint8 (H, W, 3), red first, as the camera gave it.
        images: view → the model image, after the view's geometry; the image that the view's map belongs to.
        maps: view → float32 (h, w), raw; a view that was not scored is absent.
        scales: view → its scale, for every view in ``maps``.
        run_s: the box's running time, for the age of the part.
        kept: why the part is kept.
    """

    result: Result
    originals: Mapping[str, RgbImage]
    images: Mapping[str, RgbImage]
    maps: Mapping[str, FloatArray]
    scales: Mapping[str, Scale]
    run_s: float = 0.0
    kept: KeptWhy = "verdict"

    @property
    def size(self) -> int:
        """Bytes of all arrays."""
        images = sum(image.nbytes for image in (*self.originals.values(), *self.images.values()))
        return images + sum(heat.nbytes for heat in self.maps.values())

    def owned(self) -> EvidenceJob:
        """Return a copy with arrays of its own, which hold no shared memory of a camera."""
        return replace(
            self,
            originals={view: _owned(image) for view, image in self.originals.items()},
            images={view: _owned(image) for view, image in self.images.items()},
            maps={view: _owned(heat) for view, heat in self.maps.items()},
        )


def evidence_path(config: EvidenceConfig, result_id: str, now: datetime) -> Path:
    """Return the folder of a part: ``<dir>/<UTC date>/<result id>``, with ``_`` for what no name may hold.

    Args:
        now: aware moment of the part.
    """
    return config.dir / now.astimezone(UTC).strftime("%Y-%m-%d") / folder_name(result_id)


def encode_png(image: RgbImage) -> bytes:
    """An RGB image, uint8 (H, W, 3), as PNG; in memory, since cv2.imwrite says only False on a full disk."""
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _FAST_PNG)
    return data.tobytes()


def write_evidence(
    folder: Path,
    job: EvidenceJob,
    give_way: Callable[[], None] = lambda: None,
    encode: Callable[[RgbImage], bytes] = encode_png,
) -> None:
    """Write ``<view>.png``, ``<view>_heat.png``, ``<view>_map.npy``, ``result.json`` and ``evidence.json``.

    The folder appears whole or not at all. Maps are float32 (h, w), raw; heat lies on the model image.

    Args:
        give_way: called before every picture, which takes milliseconds of a processor.
        encode: a picture, uint8 (H, W, 3), as the bytes of its file.

    Raises:
        StorageError: the disk is full or failed, or the folder exists.
    """
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        unfinished.mkdir(parents=True)
        # First of all, so that what a crash leaves is known to be ours.
        (unfinished / RECORD_FILE).write_text(record_text(job.result, {}, job.run_s, job.kept), "utf-8")
        files = _write_files(unfinished, job, give_way, encode)
        (unfinished / RECORD_FILE).write_text(record_text(job.result, files, job.run_s, job.kept), "utf-8")
        unfinished.rename(folder)
    except BaseException as cause:
        shutil.rmtree(unfinished, ignore_errors=True)
        if not isinstance(cause, OSError):
            raise
        raise StorageError(
            f"evidence {folder}: cannot be written: {cause.strerror}; check that the disk has room and that "
            "this user may write there, or change evidence.dir"
        ) from cause


def _write_files(
    folder: Path, job: EvidenceJob, give_way: Callable[[], None], encode: Callable[[RgbImage], bytes]
) -> dict[str, int]:
    """Write all files but the record; return name → bytes."""
    for view, image in job.originals.items():
        give_way()
        (folder / f"{view}.png").write_bytes(encode(image))
    for view, anomaly_map in job.maps.items():
        give_way()
        np.save(folder / f"{view}_map.npy", anomaly_map)
        overlay = heat_overlay(job.images[view], anomaly_map, job.scales[view])
        (folder / f"{view}_heat.png").write_bytes(encode(overlay))
    (folder / RESULT_FILE).write_bytes(to_json(job.result))
    return {file.name: file.stat().st_size for file in folder.iterdir() if file.name != RECORD_FILE}


def _owned(array: npt.NDArray[P]) -> npt.NDArray[P]:
    """Return the array, or its copy where another object owns the memory."""
    return array if array.flags.owndata else array.copy()
