"""A whole box with a candidate beside its bundle: compared, given up, replaced; the line goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

from simulators.small_box import start_box, write_box
from simulators.small_bundle import small_bundle
from tests.support.waiting import wait_until


def report(box: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "shadow", "report", str(box), "--json"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"compared": 0}
    return found


def candidate_of(pid: int) -> int | None:
    """Process id of the candidate of a box."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            if b"edgeflow.shadow.process" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    return None


def test_a_candidate_is_compared_killed_and_replaced_while_the_line_decides_every_part(
    tmp_path: Path,
) -> None:
    box = write_box(tmp_path, 9)
    small_bundle(tmp_path / "bundles" / "next.bundle", version=3, offset=900.0)
    document = yaml.safe_load(box.read_text()) | {"shadow": {"bundle": "bundles/next.bundle"}}
    box.write_text(yaml.safe_dump(document))
    with (tmp_path / "box.log").open("w") as log, start_box(box, out=log) as running:
        try:
            wait_until(lambda: report(box)["compared"] >= 3)
            found = report(box)
            assert found["candidate"]["version"] == 3
            assert found["outcomes"]["to_ng"] == found["compared"], "its scores are 900 higher"

            candidate = candidate_of(running.pid)
            assert candidate is not None
            os.kill(candidate, signal.SIGKILL)
            wait_until(lambda: candidate_of(running.pid) not in (None, candidate))

            small_bundle(tmp_path / "new.bundle", version=4)
            (tmp_path / "new.bundle").replace(tmp_path / "bundles" / "next.bundle")
            wait_until(lambda: report(box).get("candidate", {}).get("version") == 4)
            wait_until(lambda: report(box)["outcomes"]["same"] >= 1)
        finally:
            last = candidate_of(running.pid)
            running.terminate()
        assert running.wait(60) == 0
    assert last is None or not Path(f"/proc/{last}").exists()
    results = [
        json.loads(line) for line in (tmp_path / "box.log").read_text().splitlines() if '"result_id"' in line
    ]
    assert len(results) > 10
    assert "NG" not in {result["verdict"] for result in results}, "what the candidate says goes nowhere"
    numbers = [result["seq"] for result in results]
    assert numbers == list(range(1, len(numbers) + 1))
