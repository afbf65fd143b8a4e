"""The process in which a bundle is proven apart: limits first, then the golden parts, one line of JSON."""

from __future__ import annotations

import json
import resource
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeflow.errors import ConfigError, EdgeflowError, IntegrityError

__all__ = ["main"]


def main() -> None:
    """Read the job from standard input, write checks or the error to standard output."""
    job = json.load(sys.stdin)
    # Data, not address space: thread arenas and drivers reserve far more addresses than they ever use.
    resource.setrlimit(resource.RLIMIT_DATA, (job["memory_bytes"], job["memory_bytes"]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer: dict[str, Any] = {"checks": _prove(job)}
    except EdgeflowError as error:
        answer = {"error": type(error).__name__, "message": error.message, "problems": error.problems}
    except MemoryError:
        answer = {"error": "DeviceError", "message": "bad_alloc", "problems": []}
    sys.stdout.write(json.dumps(answer) + "\n")


def _prove(job: dict[str, Any]) -> list[dict[str, Any]]:
    from edgeflow.bundles.bundle import Bundle  # noqa: PLC0415 - under the limits, like all that follows
    from edgeflow.scoring.verification import verify_graph  # noqa: PLC0415

    with Bundle.open(Path(job["bundle"])) as bundle:
        if bundle.sha256 != job["sha256"]:
            raise IntegrityError(f"{bundle.path}: exchanged while it was being proven; try again")
        graph = next((g for g in bundle.manifest.graphs if g.id == job["graph"]), None)
        if graph is None:
            raise ConfigError(f"{bundle.path}: no graph '{job['graph']}'")
        checks = verify_graph(
            bundle,
            graph,
            device=job["device"],
            threads=job["threads"],
            streams=job["streams"],
            cache_dir=Path(job["cache_dir"]) if job["cache_dir"] else None,
        )
    return [asdict(check) for check in checks]


if __name__ == "__main__":
    main()
