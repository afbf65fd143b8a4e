"""Starts in processes of their own: how long until a graph is ready, and how much memory it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from edgeflow.backends.runner import Placement
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


def measure_starts(bundle: Bundle, graph: Graph, placement: Placement) -> Started:
    """Start a graph in a fresh process, and where there is a model cache once more.

    Args:
        placement: its cache folder is not used; an empty one takes its place.

    Raises:
        ParityError, DeviceError: as in :func:`~edgeflow.scoring.verification.verify_graph`.
    """
    if graph.backend != "openvino":
        return Started(first=_start(bundle, graph, replace(placement, cache_dir=None)), warm=None)
    with temporary_folder() as folder:
        cached = replace(placement, cache_dir=folder)
        return Started(first=_start(bundle, graph, cached), warm=_start(bundle, graph, cached))


def _start(bundle: Bundle, graph: Graph, placement: Placement) -> Start:
    job = {
        "bundle": str(bundle.path),
        "sha256": bundle.sha256,
        "graph": graph.id,
        "placement": placement.to_json(),
        "begun_s": time.monotonic(),
    }
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
