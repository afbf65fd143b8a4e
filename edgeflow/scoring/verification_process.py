"""The child process of isolated verification: priority and limits, the golden parts, one line of JSON."""

from __future__ import annotations

import os
import resource
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeflow.child_process import answer_job
from edgeflow.errors import ConfigError, DeviceError, IntegrityError

__all__ = ["NICENESS", "main"]

NICENESS = 10
"""Below a line that inspects parts meanwhile: it has about nine times the share of a busy processor."""


def main() -> None:
    """Verify the golden parts of one job within its limits."""
    answer_job(_limited)


def _limited(job: dict[str, Any]) -> dict[str, Any]:
    os.nice(NICENESS)
    # Data, not address space: thread arenas and drivers reserve far more addresses than they ever use.
    resource.setrlimit(resource.RLIMIT_DATA, (job["memory_bytes"], job["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        return {"checks": _verify(job)}
    except MemoryError as cause:
        raise DeviceError("bad_alloc") from cause


def _verify(job: dict[str, Any]) -> list[dict[str, Any]]:
    from edgeflow.backends.runner import Placement  # noqa: PLC0415 - under the limits, like all that follows
    from edgeflow.bundles.bundle import Bundle  # noqa: PLC0415
    from edgeflow.scoring.verification import verify_graph  # noqa: PLC0415

    with Bundle.open(Path(job["bundle"])) as bundle:
        if bundle.sha256 != job["sha256"]:
            raise IntegrityError(f"{bundle.path}: exchanged while it was being verified; try again")
        graph = next((g for g in bundle.manifest.graphs if g.id == job["graph"]), None)
        if graph is None:
            raise ConfigError(f"{bundle.path}: no graph '{job['graph']}'")
        checks = verify_graph(bundle, graph, placement=Placement.from_json(job["placement"]))
    return [asdict(check) for check in checks]


if __name__ == "__main__":
    main()
