"""The child process that proposes thresholds and writes them: lowest priority, one line of JSON per step.

It ends when it is told to, and when whoever started it is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from edgeflow.clock import utc_text
from edgeflow.commands.audit_log import Audit, change_record
from edgeflow.errors import EdgeflowError, StorageError, UsageError
from edgeflow.recalibration.proposal import (
    CHANGED,
    GraphThresholds,
    Proposal,
    Rejected,
    WrittenBundle,
    read_proposal,
    write_proposal,
)

if TYPE_CHECKING:
    from edgeflow.calibration.detection_rates import Rate

__all__ = ["main"]

_NICENESS = 19
_REPORT_S = 0.2
_GRACE_S = 5.0
Job = Mapping[str, Any]


def main() -> None:
    """Do one job, which the first line of standard input holds; its end ends this process."""
    job = json.loads(sys.stdin.readline())
    _take_lowest_priority()
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    work = {"propose": _propose, "write": _write}[job["kind"]]
    try:
        with _alone(Path(job["proposal"]).with_suffix(".lock")):
            answer: dict[str, Any] = {"answer": work(job)}
    except EdgeflowError as error:
        answer = {"error": type(error).__name__, "message": error.message, "problems": error.problems}
    _say(answer)


def _propose(job: Job) -> dict[str, Any]:
    # Under the priority, like all that follows: libraries start their threads when they are loaded.
    from edgeflow.backends.runner import Placement  # noqa: PLC0415
    from edgeflow.bundles.bundle import Bundle  # noqa: PLC0415
    from edgeflow.calibration.detection_rates import low_recall, many_rejects  # noqa: PLC0415
    from edgeflow.calibration.effect import far_moved  # noqa: PLC0415
    from edgeflow.calibration.labelled.calibration import EvidenceCalibration  # noqa: PLC0415
    from edgeflow.calibration.next_version import next_version_number  # noqa: PLC0415
    from edgeflow.recalibration.box_evidence import labels_fingerprint, read_box_evidence  # noqa: PLC0415

    folder = None if job["evidence"] is None else Path(job["evidence"])
    _say({"step": "read"})
    with Bundle.open(Path(job["bundle"])) as bundle:
        evidence = read_box_evidence(Path(job["history"]), folder, bundle)
        calibration = EvidenceCalibration(
            bundle=bundle,
            evidence=evidence,
            rate=job["rate"],
            placement=Placement(threads=1),
            progress=_progress(),
        )
        preview = calibration.preview()
        new = calibration.new_thresholds(preview)
        manifest = bundle.manifest
        version = next_version_number(bundle, Path(job["bundle"]).parent)
        proposal = Proposal(
            proposal_id=uuid.uuid4().hex,
            made_at=utc_text(),
            by=job["by"],
            product=job["product"],
            bundle_path=str(bundle.path),
            bundle=manifest.name,
            bundle_version=manifest.version,
            bundle_sha256=bundle.sha256,
            labels=labels_fingerprint(evidence.population.parts),
            graph=preview.graph,
            graphs={name: GraphThresholds(before=one.before, after=one.after) for name, one in new.items()},
            far={name: far for name, one in new.items() if (far := far_moved(one.effect))},
            uncalibrated=tuple(graph.id for graph in manifest.graphs if graph.id not in new),
            preview=preview.document(),
            low_recall=_rejected(low_recall(preview.after, manifest.min_recall)),
            many_rejects=_rejected(many_rejects(preview.after)),
            suggested=f"{_as_file_name(manifest.name)}-{version}.bundle",
        )
    write_proposal(Path(job["proposal"]), proposal)
    return {"proposal_id": proposal.proposal_id}


def _write(job: Job) -> dict[str, Any]:
    from edgeflow.backends.runner import Placement  # noqa: PLC0415
    from edgeflow.bundles.bundle import Bundle  # noqa: PLC0415
    from edgeflow.calibration.effect import Effect, require_small  # noqa: PLC0415
    from edgeflow.calibration.next_version import (  # noqa: PLC0415
        NewThresholds,
        reference_graph,
        write_next_version,
    )
    from edgeflow.files import require_new  # noqa: PLC0415
    from edgeflow.recalibration.box_evidence import labels_now  # noqa: PLC0415

    place, output = Path(job["proposal"]), Path(job["output"])
    proposal = read_proposal(place)
    if proposal is None or proposal.proposal_id != job["proposal_id"] or proposal.written is not None:
        raise UsageError("this is not the latest calculation, or it was written already; load the page again")
    require_new(output)
    _say({"step": "verify"})
    with Bundle.open(Path(job["bundle"])) as bundle:
        if bundle.sha256 != proposal.bundle_sha256:
            raise UsageError("the box has another bundle now: calculate again, from what that one judged")
        if labels_now(Path(job["history"]), bundle.sha256, proposal.graph) != proposal.labels:
            return {"outcome": CHANGED}
        new = {
            name: NewThresholds(
                before=one.before, after=one.after, effect=Effect.of(one.before, one.after, {})
            )
            for name, one in proposal.graphs.items()
        }
        if not job["accept"]:
            for name, one in new.items():
                require_small(name, one.effect, tuple(proposal.preview["sentences"]))
        done = write_next_version(
            bundle,
            new,
            reference_graph(bundle.manifest, proposal.graph),
            output,
            placement=Placement(threads=1),
            signer=None,
        )
    written = WrittenBundle(
        path=str(done.path),
        version=done.version,
        sha256=done.sha256,
        by=job["by"],
        at=utc_text(),
        changed_golden=done.changed,
    )
    write_proposal(place, proposal.model_copy(update={"written": written}))
    arguments = {
        "bundle": proposal.bundle_sha256,
        "new": output.name,
        "version": str(done.version),
        "sha256": done.sha256,
        **({"product": proposal.product} if proposal.product else {}),
        **({"accept": "yes"} if job["accept"] else {}),
    }
    text = f"{output.name}: version {done.version} of {proposal.bundle}, thresholds from labels, not signed"
    audit = Audit(Path(job["audit"]), job["audit_bytes"])
    audit.write(change_record("calibrate", arguments, text, source=job["source"]))
    return {"outcome": "written"}


def _progress() -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Wraps the parts of each graph as they are scored, and reports how many there are."""
    rounds = 0

    def wrap(parts: Iterable[Any]) -> Iterator[Any]:
        nonlocal rounds
        rounds += 1
        wanted = list(parts)
        reported_s = -_REPORT_S
        for done, part in enumerate(wanted):
            now_s = time.monotonic()
            if now_s - reported_s >= _REPORT_S:
                reported_s = now_s
                _say({"step": "score", "round": rounds, "done": done, "of": len(wanted)})
            yield part

    return wrap


def _rejected(rate: Rate | None) -> Rejected | None:
    return None if rate is None else Rejected(rejected=rate.rejected, parts=rate.parts)


def _as_file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip(".-")[:80] or "bundle"


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the one right to calculate for this box, whoever started the others."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as cause:
                raise UsageError("another page of this box calculates already; wait for its end") from cause
            yield
    except OSError as cause:
        raise StorageError(f"{path}: cannot be written: {cause.strerror}; check space and rights") from cause


def _take_lowest_priority() -> None:
    """Only what nobody else wants: of one processor and the disk; and first to go where memory runs out."""
    os.nice(_NICENESS)
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # its disk access is idle, too
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _end(_: int, __: FrameType | None) -> None:
    raise SystemExit(1)


def _end_with_parent() -> None:
    sys.stdin.read()  # until its end: the page has gone, however it went
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)


def _say(line: Mapping[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
