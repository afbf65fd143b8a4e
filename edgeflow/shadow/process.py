"""The candidate's process: lowest priority, bounded memory, one line of JSON for each part.

The first line of standard input is the job; each further one is a part, whose images lie in shared memory.
The end of standard input, or of whoever started it, ends this process.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeflow.errors import EdgeflowError, StorageError, failure_text

if TYPE_CHECKING:
    from edgeflow.contracts.images import RgbImage
    from edgeflow.shadow.candidate import Candidate
    from edgeflow.shadow.comparison import Judged
    from edgeflow.shadow.store import ShadowStore

__all__ = ["main"]

_PR_SET_PDEATHSIG = 1
_NICENESS = 19
_ODD = 200
Job = Mapping[str, Any]
Say = Callable[[Mapping[str, Any]], None]


def main() -> None:
    """Load one candidate and judge parts, until standard input ends."""
    job = json.loads(sys.stdin.readline())
    # Also while it is stopped: a part was being decided when the box was killed.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != job["parent"]:
        return
    say = _own_output()
    _limit(job)
    try:
        _serve(job, say)
    except EdgeflowError as error:
        say({"error": type(error).__name__, "message": error.message, "problems": error.problems})
    except Exception as error:  # noqa: BLE001 - the box tells it to people
        if not isinstance(error, MemoryError):
            say({"died": failure_text(error)})
            return
        say({"died": f"it needs more than {job['memory_mb']} MB of memory (shadow.memory_mb)"})


def _serve(job: Job, say: Say) -> None:
    # Under the limits, like all that follows: libraries start their threads when they are loaded.
    from edgeflow.clock import utc_now, utc_text  # noqa: PLC0415
    from edgeflow.config.box import BoxConfig  # noqa: PLC0415
    from edgeflow.shadow.candidate import Candidate  # noqa: PLC0415
    from edgeflow.shadow.store import CandidateInfo, ShadowStore  # noqa: PLC0415

    config = BoxConfig.model_validate_json(json.dumps(job["config"]))
    with Candidate(
        config, device=job["device"], now=utc_now(), running_name=job["running_name"]
    ) as candidate:
        manifest = candidate.bundle.manifest
        info = CandidateInfo(
            sha256=candidate.bundle.sha256,
            graph=candidate.graph.id,
            name=manifest.name,
            version=manifest.version,
            running_sha256=job["running_sha256"],
        )
        path = Path(job["store"])
        store = ShadowStore(path, max_parts=job["max_parts"], max_pictures=job["max_pictures"])
        work = _Work(candidate, store, store.candidate(info, utc_text()), path, pictures=job["max_pictures"])
        say({"ready": {"name": info.name, "version": info.version, "sha256": info.sha256}})
        memory = _SharedImages(job["fd"])
        for line in sys.stdin:
            say(work.judge(json.loads(line), memory))
        store.close()


class _Work:
    """Parts of one candidate, one after the other."""

    def __init__(
        self, candidate: Candidate, store: ShadowStore, number: int, path: Path, *, pictures: int
    ) -> None:
        self._candidate, self._store, self._number = candidate, store, number
        self._path, self._pictures = path, pictures

    def judge(self, part: Job, memory: _SharedImages) -> dict[str, Any]:
        """Judge a part, keep the comparison, and return the answer."""
        answer: dict[str, Any] = {}
        try:
            if part["images"]:
                answer = self._compared(part, memory)
        except EdgeflowError as error:  # it costs this part
            answer = {"failed": error.message}
        counts = {**part["skipped"], **({"failed": 1} if "failed" in answer else {})}
        try:
            self._store.count(self._number, counts)
        except StorageError as error:
            answer["unstored"] = error.message
        return answer or {"counted": True}

    def _compared(self, part: Job, memory: _SharedImages) -> dict[str, Any]:
        from edgeflow.shadow.comparison import Judged, compare  # noqa: PLC0415
        from edgeflow.shadow.store import ShadowPart  # noqa: PLC0415

        judged, score, reason, scores = self._candidate.judge(memory.images(part))
        running: Judged = Judged(**part["running"])
        outcome = compare(running, judged)
        picture, unstored = None, ""
        if outcome in ("to_ng", "to_ok") and self._pictures:
            picture, unstored = self._pictured(part, scores)
        compared = ShadowPart(
            result_id=part["result_id"],
            part_id=part["part_id"],
            decided_at=part["decided_at"],
            running=running.verdict,
            running_score=part["running_score"],
            verdict=judged.verdict,
            score=score,
            reason=reason[:_ODD],
            outcome=outcome,
            evidence=part["evidence"],
            picture=picture,
        )
        try:
            self._store.add(self._number, compared)
        except StorageError as error:
            unstored = error.message
        return {"done": outcome, **({"unstored": unstored} if unstored else {})}

    def _pictured(self, part: Job, scores: Any) -> tuple[str | None, str]:
        from edgeflow.contracts.documents.file_names import file_name  # noqa: PLC0415
        from edgeflow.shadow.pictures import write_picture  # noqa: PLC0415
        from edgeflow.shadow.store import pictures_folder  # noqa: PLC0415

        # The time first, so that the oldest are the first by name.
        stamp = "".join(letter for letter in part["decided_at"] if letter.isdigit())
        name = f"{stamp}-{file_name(part['result_id'])}"[:180] + ".jpg"
        try:
            write_picture(
                pictures_folder(self._path) / name,
                scores,
                self._candidate.bundle.manifest,
                self._candidate.thresholds,
            )
        except StorageError as error:
            return None, error.message
        return name, ""


class _SharedImages:
    """Images of one part at a time, in memory that the box writes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._memory: mmap.mmap | None = None

    def images(self, part: Job) -> dict[str, RgbImage]:
        """Return copies of the images, view → uint8 (H, W, 3)."""
        import numpy as np  # noqa: PLC0415

        if self._memory is None or len(self._memory) < part["bytes"]:
            self._memory = mmap.mmap(self._fd, part["bytes"], prot=mmap.PROT_READ)
        found = {}
        for view, (offset, height, width) in part["images"].items():
            flat = np.frombuffer(self._memory, np.uint8, 3 * height * width, offset)
            found[view] = flat.reshape(height, width, 3).copy()
        return found


def _limit(job: Job) -> None:
    """Bound its memory; take only what nobody else wants; be the first to go where memory runs out."""
    size = job["memory_mb"] * 1_000_000
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if job["idle"]:
        os.nice(_NICENESS)
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _own_output() -> Say:
    """Take standard output for answers; whatever a library prints goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(line: Mapping[str, Any]) -> None:
        answers.write(json.dumps(line) + "\n")
        answers.flush()

    return say


if __name__ == "__main__":
    main()
