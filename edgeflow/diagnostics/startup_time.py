"""Starts in processes of their own: how long until a graph is ready, and how much memory it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edgeflow.bundles.bundle import Bundle
from edgeflow.child_process import ChildDiedError, error_of, run_job
from edgeflow.contracts.manifest import Graph
from edgeflow.errors import DeviceError
from edgeflow.temporary_folder import temporary_folder

__all__ = ["Start", "Started", "measure_starts"]

MOST_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Start:
    """One start, in seconds since the process began.

    Attributes:
        opened_s: the bundle open, every hash checked.
        compiled_s: the graphs ready to run.
        ready_s: the golden parts replayed, as at every start of a box.
        peak_mb: the most memory that the process held, parts scored included.
    """

    opened_s: float
    compiled_s: float
    ready_s: float
    peak_mb: float


@dataclass(frozen=True, kw_only=True)
class Started:
    """Starts of one graph.

    Attributes:
        first: with a model cache that is still empty.
        warm: with the cache that the first start left; None where the back end has none.
    """

    first: Start
    warm: Start | None


def measure_starts(bundle: Bundle, graph: Graph, *, device: str, threads: int, streams: int) -> Started:
    """Start a graph in a fresh process, and where there is a model cache once more.

    Raises:
        ParityError, DeviceError: as in :func:`~edgeflow.scoring.verification.verify_graph`.
    """
    job = {
        "bundle": str(bundle.path),
        "sha256": bundle.sha256,
        "graph": graph.id,
        "device": device,
        "threads": threads,
        "streams": streams,
    }
    if graph.backend != "openvino":
        return Started(first=_start({**job, "cache_dir": None}, graph), warm=None)
    with temporary_folder() as folder:
        job = {**job, "cache_dir": str(folder)}
        return Started(first=_start(job, graph), warm=_start(job, graph))


def _start(job: dict[str, object], graph: Graph) -> Start:
    job = {**job, "begun_s": time.monotonic()}
    try:
        answer = run_job("edgeflow.diagnostics.startup_process", job, timeout_s=MOST_S)
    except TimeoutError as cause:
        raise DeviceError(f"{graph.id} was not ready after {MOST_S:.0f} s") from cause
    except ChildDiedError as cause:
        raise DeviceError(
            f"{graph.id} ended the process that started it with code {cause.returncode}: {cause.last_line}"
        ) from cause
    error = error_of(answer)
    if error is not None:
        raise error
    return Start(**answer)
