"""Evidence writer: one folder of images, maps and a record per part, off the line's thread."""

from __future__ import annotations

import logging
import queue
import shutil
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.change_log import ChangeLog
from edgeflow.clock import utc_now
from edgeflow.config.box import EvidenceConfig
from edgeflow.contracts.datasets.part_label import KeptWhy
from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.messages import VerdictName
from edgeflow.errors import StorageError
from edgeflow.evidence.files import EvidenceJob, encode_png, evidence_path, write_evidence
from edgeflow.evidence.patient_thread import PatientThread
from edgeflow.evidence.retention import EvidenceStore
from edgeflow.right_of_way import RightOfWay
from edgeflow.run_time import Boot, read_boot
from edgeflow.thread_activity import working

__all__ = ["QUEUE_SIZE", "Evidence", "EvidenceJob", "Reserved", "evidence_path", "write_evidence"]

logger = logging.getLogger(__name__)

QUEUE_SIZE = 16
_UNCOPIED = 4  # parts that still hold cameras' memory, of 16 images that a camera has
_DISK_LOOK_S = 2.0
_SILENT_S = 15.0  # without a sign of life the writer hangs
_ANSWER_S = 1.5  # a disk that does not answer for longer is the cause of what is lost
_START_S = 2.0  # how long the start waits for the disk
_LOOK_AT_ONCE = 200  # folders that are looked through between two parts
_DROPPED_AT_ONCE = 100
_STOP = None
_PAUSE_S = 0.5  # after an error that nobody foresaw
_PATIENCE_S = 0.2  # for a part to be decided, before every picture


@dataclass(frozen=True, kw_only=True)
class Reserved:
    """A folder for the evidence of a part, and why it is kept."""

    folder: str
    why: KeptWhy


class Evidence:
    """Writes evidence in a thread of its own; the line never waits for it.

    What waits to be written is a copy: a disk that is slow, full, frozen or gone costs evidence, and neither
    time nor the cameras' shared memory. When the disk has less than ``min_free_gb`` left nothing is written,
    and the line goes on.

    Args:
        boot: the present moment, for the age of parts.
        right_of_way: pictures are written between two parts, where the queue leaves time for that.
    """

    def __init__(
        self,
        config: EvidenceConfig,
        alarms: Alarms | None = None,
        boot: Callable[[], Boot] = read_boot,
        right_of_way: RightOfWay | None = None,
    ) -> None:
        self._config = config
        self._right_of_way = right_of_way or RightOfWay()
        self._alarms = alarms
        self._offered: queue.Queue[EvidenceJob | None] = queue.Queue(_UNCOPIED)
        self._jobs: queue.SimpleQueue[EvidenceJob | None] = queue.SimpleQueue()  # bounded by what is offered
        self._taken = self._taken_bytes = 0  # counted on the line's thread, as are the next three
        self._refused = 0
        self._snapshot = False
        self._sampled = 0.0  # so much of the next OK part is due
        self._done = self._done_bytes = 0  # counted on the writer's, as are the next three
        self._failed = 0
        self._problems = ChangeLog(logger, "evidence: ")
        self._room = True
        # Why parts were refused, until the writer has caught up.
        self._refusals = ChangeLog(logger, "evidence: parts are not kept: ")
        self._busy_since_s: float | None = None  # the disk was asked then, and has not answered
        max_bytes = None if config.max_gb is None else round(config.max_gb * 1e9)
        self._store = EvidenceStore(config.dir, max_bytes=max_bytes, max_days=config.max_days, boot=boot)
        self._patient = PatientThread("evidence-files")
        self._begun = threading.Event()
        self._start_error: StorageError | None = None
        self._thread = threading.Thread(target=self._run, name="evidence", daemon=True)
        self._copier = threading.Thread(target=self._copy, name="evidence-copy", daemon=True)

    @property
    def lost(self) -> int:
        """Number of parts whose evidence was wanted but could not be kept."""
        return self._refused + self._failed

    @property
    def kept_bytes(self) -> int:
        """Bytes of the evidence on the disk, as far as its folders have been read."""
        return self._store.size

    @property
    def kept_parts(self) -> int:
        """Number of parts with evidence on the disk, as far as its folders have been read."""
        return len(self._store)

    def start(self) -> None:
        """Start the threads; return at once, or after 2 s where the disk does not answer.

        Raises:
            StorageError: the folder cannot be made.
        """
        self._patient.start()
        self._thread.start()
        self._copier.start()
        if not self._begun.wait(_START_S):
            self._refuse(self._frozen_text())
        if self._start_error is not None:
            raise self._start_error

    def reserve(self, result_id: str, verdict: VerdictName) -> Reserved | None:
        """Return the folder of a part's evidence, and why it is kept; None where none is kept."""
        why = self._reason(verdict)
        if not self._room or why is None:
            return None
        return Reserved(folder=str(evidence_path(self._config, result_id, utc_now())), why=why)

    def _reason(self, verdict: VerdictName) -> KeptWhy | None:
        """The reason that keeps a part; the sample goes on counting where another one does."""
        asked, self._snapshot = self._snapshot, False
        if verdict in self._config.save:
            return "verdict"
        if verdict == "OK" and self._is_sample():
            return "sample"
        return "request" if asked else None

    def _is_sample(self) -> bool:
        """Return True if this OK part belongs to the share that is kept: every 100th for 0.01."""
        self._sampled += self._config.ok_sample
        if self._sampled < 1.0:
            return False
        self._sampled -= 1.0
        return True

    def snapshot(self) -> None:
        """Keep the next part, whatever its verdict."""
        self._snapshot = True

    def offer(self, job: EvidenceJob) -> bool:
        """Queue a part for writing; return False where it is not kept. Never blocks."""
        if job.result.evidence is None:
            return False
        size, held = job.size, self._taken_bytes - self._done_bytes
        too_many = self._taken - self._done >= QUEUE_SIZE or self._offered.full()
        if too_many or (held and held + size > self._config.queue_mb * 1e6):
            self._refused += 1
            self._refuse(self._frozen_text() if self._disk_is_silent() else self._slow_text())
            return False
        self._taken += 1
        self._taken_bytes += size
        self._offered.put_nowait(job)  # nobody else puts while the line runs
        return True

    def close(self, timeout_s: float = 5.0) -> None:
        """Write what is queued, for at most ``timeout_s``, then end."""
        if self._thread.ident is None:
            return
        deadline_s = time.monotonic() + timeout_s
        try:
            self._offered.put(_STOP, timeout=timeout_s)
        except queue.Full:
            logger.warning("evidence: %d parts were not written in time", self._jobs.qsize())
            return
        self._thread.join(max(0.0, deadline_s - time.monotonic()))

    def _copy(self) -> None:
        """Copy queued parts, so that the cameras' shared memory is free although the disk is slow."""
        while (job := self._offered.get()) is not _STOP:
            try:
                self._jobs.put(job.owned())
            except MemoryError:  # then it is written as it is
                self._jobs.put(job)
            del job  # or it would be held until the next one comes
        self._jobs.put(_STOP)

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._patient.close()

    def _work(self) -> None:
        try:
            self._make_folder()
            self._look_at_disk()
        except StorageError as error:
            self._start_error = error
            return
        finally:
            self._begun.set()
        while True:
            working(_SILENT_S)
            try:
                if not self._turn():
                    return
            except Exception:  # one odd part, or a folder tidied by hand, must not end the evidence of others
                logger.exception("evidence: the writer goes on after an error")
                time.sleep(_PAUSE_S)

    def _make_folder(self) -> None:
        try:
            self._config.dir.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise StorageError(
                f"evidence.dir {self._config.dir}: cannot be made: {cause.strerror}; change it, or give this "
                "user the right to write there"
            ) from cause

    def _turn(self) -> bool:
        """Write the next part, or check the disk; return False at the end."""
        looked = self._look_at_disk()
        try:
            job = self._jobs.get(timeout=_DISK_LOOK_S if looked else 0.001)
        except queue.Empty:
            if looked:  # nothing came for a while: the disk has caught up
                self._refusals.clear()
            self._update_alarm()
            return True
        if job is _STOP:
            with suppress(OSError):
                self._store.keep_clock(at_once=True)
            return False
        self._busy_since_s = time.monotonic()
        try:
            self._keep(job)
        finally:
            self._done += 1
            self._done_bytes += job.size
            self._busy_since_s = None
        self._update_alarm()
        return True

    def _keep(self, job: EvidenceJob) -> None:
        if not self._room or job.result.evidence is None:
            self._failed += 1
            return
        folder = Path(job.result.evidence)
        try:
            dated = replace(job, run_s=self._store.run_s)
            self._patient.call(lambda: write_evidence(folder, dated, self._give_way, self._encode))
        except StorageError as cause:
            self._failed += 1
            self._problems.report(str(cause))
        except Exception:  # one odd part must not end the evidence of all others
            self._failed += 1
            logger.exception("evidence %s: not written", folder)
        else:
            self._store.add(folder)
            self._problems.clear()

    def _give_way(self) -> None:
        """Wait while a part is decided, unless so much is waiting that evidence would be lost."""
        parts, held = self._taken - self._done, self._taken_bytes - self._done_bytes
        if 2 * parts < QUEUE_SIZE and 2 * held < self._config.queue_mb * 1e6:
            self._busy_since_s = None  # it is not the disk that is slow
            self._right_of_way.give_way(_PATIENCE_S)
            self._busy_since_s = time.monotonic()

    def _encode(self, image: RgbImage) -> bytes:
        self._busy_since_s = None  # what takes time now is the processor, not the disk
        try:
            return encode_png(image)
        finally:
            self._busy_since_s = time.monotonic()

    def _look_at_disk(self) -> bool:
        """Read the folders and make room; return True once all folders are known."""
        self._busy_since_s = time.monotonic()
        try:
            looked = self._store.look_on(_LOOK_AT_ONCE)
            self._look_for_room()
        finally:
            self._busy_since_s = None
        return looked

    def _look_for_room(self) -> None:
        limit_gb = self._config.min_free_gb
        try:
            self._config.dir.mkdir(exist_ok=True)  # where somebody removed it
            self._store.keep_clock()
            self._store.tidy()
            free_gb = self._free_gb()
            for _ in range(_DROPPED_AT_ONCE):
                if free_gb >= limit_gb or not self._store.drop_oldest():
                    break
                free_gb = self._free_gb()
        except OSError as cause:
            self._room = False
            self._problems.report(f"{self._config.dir}: {cause.strerror}; nothing is kept until it is back")
            return
        room = free_gb >= limit_gb
        if room != self._room:
            state = "parts are kept again" if room else "no part is kept until there is room"
            logger.warning("evidence: %.1f GB free, evidence.min_free_gb is %g: %s", free_gb, limit_gb, state)
        self._room = room

    def _free_gb(self) -> float:
        return shutil.disk_usage(self._config.dir).free / 1e9

    def _disk_is_silent(self) -> bool:
        since_s = self._busy_since_s
        return since_s is not None and time.monotonic() - since_s > _ANSWER_S

    def _frozen_text(self) -> str:
        return (
            f"the disk of evidence.dir {self._config.dir} does not answer; check the disk, its cable or the "
            "file server"
        )

    def _slow_text(self) -> str:
        return (
            f"parts come faster than they are written to evidence.dir {self._config.dir}; keep fewer "
            "(evidence.save, evidence.ok_sample), or use a faster disk or processor"
        )

    def _refuse(self, why: str) -> None:
        """Raise the alarm that a part is not kept, on the line's thread, since the writer may hang."""
        self._refusals.report(why)
        self._raise(why)

    def _update_alarm(self) -> None:
        """Raise the alarm while evidence that is wanted cannot be kept."""
        if not self._room and not self._problems.problem:
            text = f"less than {self._config.min_free_gb:g} GB free in {self._config.dir}; make room there"
        else:
            text = self._problems.problem or self._refusals.problem
        if text:
            self._raise(text)
        elif self._alarms is not None:
            self._alarms.clear("evidence_stopped")

    def _raise(self, text: str) -> None:
        if self._alarms is not None:
            self._alarms.raise_(
                "evidence_stopped", "warning", f"parts are inspected without evidence: {text}"
            )
