"""The process in which a start is measured: one job in, one line of JSON out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from edgeflow.child_process import answer_job
from edgeflow.diagnostics.peak_memory import own_peak_bytes
from edgeflow.errors import IntegrityError

__all__ = ["main"]

SCORED = 3


def main() -> None:
    """Measure the start of one job."""
    answer_job(_start)


def _start(job: dict[str, Any]) -> dict[str, float]:
    from edgeflow.backends.runner import Placement  # noqa: PLC0415
    from edgeflow.bundles.bundle import Bundle  # noqa: PLC0415
    from edgeflow.scoring.loading import make_scorer  # noqa: PLC0415
    from edgeflow.scoring.verification import verify_scorer  # noqa: PLC0415

    seconds: list[float] = []

    def passed() -> None:
        seconds.append(time.monotonic() - job["begun_s"])

    with Bundle.open(Path(job["bundle"])) as bundle:
        if bundle.sha256 != job["sha256"]:
            raise IntegrityError(f"{bundle.path}: exchanged while it was being measured; try again")
        passed()
        graph = next(graph for graph in bundle.manifest.graphs if graph.id == job["graph"])
        scorer = make_scorer(bundle, graph, placement=Placement.from_json(job["placement"]))
        passed()
        verify_scorer(bundle, graph, scorer, ask="some")
        passed()
        images = bundle.golden_images(bundle.manifest.golden[0])
        for _ in range(SCORED):
            scorer.score(images)
    return {
        **dict(zip(("opened_s", "compiled_s", "ready_s"), seconds, strict=True)),
        "peak_mb": own_peak_bytes() / 1e6,
    }


if __name__ == "__main__":
    main()
