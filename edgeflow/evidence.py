"""Evidence: one folder of images, maps and the record per part, written beside the line."""

from __future__ import annotations

import logging
import queue
import re
import shutil
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

from edgeflow.alarms import Alarms
from edgeflow.config import EvidenceConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.manifest import Scale
from edgeflow.contracts.messages import Result, VerdictName, to_json
from edgeflow.contracts.scoring import FloatArray
from edgeflow.errors import StorageError
from edgeflow.evidence_store import EvidenceStore
from edgeflow.heatmap import heat_overlay
from edgeflow.thread_activity import working

__all__ = ["QUEUE_SIZE", "Evidence", "EvidenceJob", "evidence_path", "write_evidence"]

logger = logging.getLogger(__name__)

QUEUE_SIZE = 16
_DISK_LOOK_S = 2.0
_SILENT_S = 15.0  # without a sign of life the writer hangs
_DROPPED_AT_ONCE = 100
_FAST_PNG = [cv2.IMWRITE_PNG_COMPRESSION, 1]
_STOP = None


@dataclass(frozen=True, kw_only=True)
class EvidenceJob:
    """What is kept of one part; ``result.evidence`` names the folder (see :meth:`Evidence.reserve`).

    Attributes:
        originals: view → uint8 (H, W, 3), red first, as the camera gave it.
        images: view → the same after crop, mirror and resize; the image that the view's map belongs to.
        maps: view → float32 (h, w), raw; a view that was not scored is absent.
        scales: view → its scale, for every view in ``maps``.
    """

    result: Result
    originals: Mapping[str, RgbImage]
    images: Mapping[str, RgbImage]
    maps: Mapping[str, FloatArray]
    scales: Mapping[str, Scale]


def evidence_path(config: EvidenceConfig, result_id: str, now: datetime) -> Path:
    """Folder of a part: ``<dir>/<UTC date>/<result id>``; what a file name cannot hold becomes ``_``.

    Args:
        now: aware moment of the part.
    """
    name = re.sub(r"[^A-Za-z0-9_.-]|^\.+", "_", result_id)
    return config.dir / now.astimezone(timezone.utc).strftime("%Y-%m-%d") / name


def write_evidence(folder: Path, job: EvidenceJob) -> None:
    """Write ``<view>.png``, ``<view>_heat.png``, ``<view>_map.npy`` and ``result.json``.

    The folder appears whole or not at all. Maps are float32 (h, w), raw; heat lies on the model image.

    Raises:
        StorageError: the disk is full or failed, or the folder exists.
    """
    unfinished = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        unfinished.mkdir(parents=True)
        for view, image in job.originals.items():
            _write_png(unfinished / f"{view}.png", image)
        for view, anomaly_map in job.maps.items():
            np.save(unfinished / f"{view}_map.npy", anomaly_map)
            heat = heat_overlay(job.images[view], anomaly_map, job.scales[view])
            _write_png(unfinished / f"{view}_heat.png", heat)
        (unfinished / "result.json").write_bytes(to_json(job.result))
        unfinished.rename(folder)
    except OSError as cause:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise StorageError(
            f"evidence {folder}: cannot be written: {cause.strerror}; check that the disk has room and that "
            "this user may write there, or change evidence.dir"
        ) from cause


class Evidence:
    """Writes evidence in a thread of its own; the line never waits for it.

    When the disk has less than ``min_free_gb`` left nothing is written, and the line goes on.
    """

    def __init__(self, config: EvidenceConfig, alarms: Alarms | None = None) -> None:
        self._config = config
        self._alarms = alarms
        self._jobs: queue.Queue[EvidenceJob | None] = queue.Queue(QUEUE_SIZE)
        self._refused = 0  # counted on the line's thread
        self._failed = 0  # counted on the writer's
        self._losing = False
        self._snapshot = False
        self._sampled = 0.0  # so much of the next OK part is due
        max_bytes = None if config.max_gb is None else round(config.max_gb * 1e9)
        self._store = EvidenceStore(config.dir, max_bytes=max_bytes, max_days=config.max_days)
        self._trouble = ""
        self._room = True
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)

    @property
    def lost(self) -> int:
        """Parts whose evidence was wanted but could not be kept."""
        return self._refused + self._failed

    def start(self) -> None:
        """Begin writing; returns at once.

        Raises:
            StorageError: the folder cannot be made.
        """
        try:
            self._config.dir.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise StorageError(
                f"evidence.dir {self._config.dir}: cannot be made: {cause.strerror}; change it, or give this "
                "user the right to write there"
            ) from cause
        self._store.look()
        self._look_for_room()
        self._thread.start()

    def reserve(self, result_id: str, verdict: VerdictName) -> str | None:
        """The folder that a part's evidence will be in, for its result; None where none is kept."""
        wanted, self._snapshot = self._snapshot, False
        wanted = wanted or verdict in self._config.save or (verdict == "OK" and self._is_sample())
        if not self._room or not wanted:
            return None
        return str(evidence_path(self._config, result_id, datetime.now(timezone.utc)))

    def _is_sample(self) -> bool:
        """Whether this OK part is one of the share that is kept: evenly spread, every 100th for 0.01."""
        self._sampled += self._config.ok_sample
        if self._sampled < 1.0:
            return False
        self._sampled -= 1.0
        return True

    def snapshot(self) -> None:
        """Keep the next part, whatever its verdict."""
        self._snapshot = True

    def offer(self, job: EvidenceJob) -> bool:
        """Hand a part over for writing; False where it is not kept. Never blocks."""
        if job.result.evidence is None:
            return False
        try:
            self._jobs.put_nowait(job)
        except queue.Full:
            self._refused += 1
            if not self._losing:
                logger.warning("evidence: the disk is too slow; %s is not kept", job.result.result_id)
            self._losing = True
            return False
        if self._losing:
            logger.warning("evidence: kept again; %d parts were lost so far", self.lost)
        self._losing = False
        return True

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued, for at most ``timeout_s``, then end."""
        if self._thread.ident is None:
            return
        deadline_s = time.monotonic() + timeout_s
        try:
            self._jobs.put(_STOP, timeout=timeout_s)
        except queue.Full:
            logger.warning("evidence: %d parts were not written in time", self._jobs.qsize())
            return
        self._thread.join(max(0.0, deadline_s - time.monotonic()))

    def _run(self) -> None:
        while True:
            working(_SILENT_S)
            try:
                job = self._jobs.get(timeout=_DISK_LOOK_S)
            except queue.Empty:
                self._look_for_room()
                self._tell()
                continue
            if job is _STOP:
                return
            self._look_for_room()
            self._keep(job)
            self._tell()

    def _keep(self, job: EvidenceJob) -> None:
        if not self._room or job.result.evidence is None:
            self._failed += 1
            return
        try:
            write_evidence(Path(job.result.evidence), job)
        except StorageError as cause:
            self._failed += 1
            self._report(str(cause))
        except Exception:  # one odd part must not end the evidence of all others
            self._failed += 1
            logger.exception("evidence %s: not written", job.result.evidence)
        else:
            self._store.add(Path(job.result.evidence))
            self._report("")

    def _look_for_room(self) -> None:
        limit_gb = self._config.min_free_gb
        try:
            self._store.tidy(datetime.now(timezone.utc))
            free_gb = self._free_gb()
            for _ in range(_DROPPED_AT_ONCE):
                if free_gb >= limit_gb or not self._store.drop_oldest():
                    break
                free_gb = self._free_gb()
        except OSError as cause:
            self._room = False
            self._report(f"{self._config.dir}: {cause.strerror}; nothing is kept until it is back")
            return
        room = free_gb >= limit_gb
        if room != self._room:
            state = "parts are kept again" if room else "no part is kept until there is room"
            logger.warning("evidence: %.1f GB free, evidence.min_free_gb is %g: %s", free_gb, limit_gb, state)
        self._room = room

    def _free_gb(self) -> float:
        return shutil.disk_usage(self._config.dir).free / 1e9

    def _tell(self) -> None:
        """An alarm while evidence that is wanted cannot be kept."""
        if self._alarms is None:
            return
        if not self._room:
            text = f"less than {self._config.min_free_gb:g} GB free in {self._config.dir}; make room there"
        else:
            text = self._trouble
        if text:
            self._alarms.raise_(
                "evidence_stopped", "warning", f"parts are inspected without evidence: {text}"
            )
        else:
            self._alarms.clear("evidence_stopped")

    def _report(self, trouble: str) -> None:
        """Log trouble once, and again when it changes."""
        if trouble and trouble != self._trouble:
            logger.warning("evidence: %s", trouble)
        self._trouble = trouble


def _write_png(path: Path, image: RgbImage) -> None:
    # Encoded in memory: cv2.imwrite says only False when the disk is full.
    _, data = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _FAST_PNG)
    path.write_bytes(data.tobytes())
