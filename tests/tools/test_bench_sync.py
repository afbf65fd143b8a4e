"""The benchmark of view sets, run for seconds instead of minutes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def test_edgeflow_is_measured_beside_a_naive_reader(repository: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.synchronization",
            "--seconds",
            "3",
            "--hours",
            "0.002",
            "--json",
        ],
        cwd=repository / "tools",
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    figures = json.loads(done.stdout)
    live = figures["live"]
    assert len(live) == 4
    assert (
        live["edgeflow, triggered"]["skew_p50_ms"] < live["naive: trigger and read one by one"]["skew_p50_ms"]
    )
    assert all(row["false_matches"] == row["used_twice"] == 0 for row in figures["jitter"])
    assert {row["mode"] for row in figures["jitter"]} <= {"triggered", "hardware", "free"}
