"""A bundle's first run in a process of its own: what a graph does to memory and time hits only that.

Graphs are inspected beforehand, but allowed operators can still ask for any amount of memory (a
convolution with enormous padding) or time (a chain of thousands of element-wise operations takes some
back ends minutes to compile), and native code can crash. This process goes on in every case.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from edgeflow.backends.runner import DEFAULT_PLACEMENT, Placement
from edgeflow.bundles.bundle import Bundle
from edgeflow.child_process import ChildDiedError, error_of, run_job
from edgeflow.contracts.manifest import Graph
from edgeflow.errors import DeviceError, EdgeflowError, IntegrityError
from edgeflow.scoring.verification import GoldenCheck

__all__ = ["ResourceLimits", "verify_in_subprocess"]


@dataclass(frozen=True, kw_only=True)
class ResourceLimits:
    """Resources that a graph may use; by default half of the machine's memory, and five minutes."""

    memory_bytes: int = max(2 * 1024**3, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    seconds: float = 300.0


def verify_in_subprocess(
    bundle: Bundle,
    graph: Graph,
    *,
    placement: Placement = DEFAULT_PLACEMENT,
    limits: ResourceLimits | None = None,
) -> list[GoldenCheck]:
    """As :func:`~edgeflow.scoring.verification.verify_graph`, in a process with limits.

    The process opens the bundle anew and compares its hash: what was proven is what this one opened. A
    model cache that it fills serves the load that follows.

    Raises:
        ParityError, DeviceError: as there.
        IntegrityError: the graph crashed, or took more memory or time than allowed.
    """
    limits = limits or ResourceLimits()
    job = {
        "bundle": str(bundle.path),
        "sha256": bundle.sha256,
        "graph": graph.id,
        "placement": placement.to_json(),
        "memory_bytes": limits.memory_bytes,
    }
    try:
        answer = run_job("edgeflow.scoring.verification_process", job, timeout_s=limits.seconds)
    except TimeoutError as cause:
        raise _unfit(bundle, graph, f"was not ready after {limits.seconds:.0f} s") from cause
    except ChildDiedError as cause:
        raise _unfit(bundle, graph, _end(cause, limits)) from cause
    error = error_of(answer)
    if error is not None:
        raise _out_of_memory(bundle, graph, error, limits) or error
    return [GoldenCheck(**check) for check in answer["checks"]]


def _out_of_memory(
    bundle: Bundle, graph: Graph, error: EdgeflowError, limits: ResourceLimits
) -> IntegrityError | None:
    """Return the error for a want of memory: it is the graph's fault, not the device's."""
    if type(error) is DeviceError and "alloc" in error.message:
        return _unfit(bundle, graph, f"needs more than {_gigabytes(limits)} of memory")
    return None


def _end(died: ChildDiedError, limits: ResourceLimits) -> str:
    if died.returncode < 0:
        # A library that is refused memory may crash instead of saying so.
        end = signal.Signals(-died.returncode).name
        return (
            f"needs more than {_gigabytes(limits)} of memory, or is broken: it ended its process with {end}"
        )
    return f"ended the process that tried it with code {died.returncode}: {died.last_line}"


def _unfit(bundle: Bundle, graph: Graph, what: str) -> IntegrityError:
    return IntegrityError(
        f"{bundle.path}: {graph.id} {what}; do not use this bundle here; 'edgeflow verify' on the "
        "workstation shows whether it runs at all"
    )


def _gigabytes(limits: ResourceLimits) -> str:
    return f"{limits.memory_bytes / 1e9:.1f} GB"
