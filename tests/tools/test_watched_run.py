"""Memory of a program that another one started, apart from what that one held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.measured_process import watched_run

MB = 1_000_000
_LARGE_PARENT = """
import json, resource, sys
from edgeflow.diagnostics.peak_memory import own_peak_bytes
from benchmarks.measured_process import watched_run
held = bytearray(400_000_000)
output, peak = watched_run([sys.executable, "-c", sys.argv[1]])
children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
print(json.dumps({"output": output, "peak": peak, "children": children, "own": own_peak_bytes()}))
"""
_CHILD = """
import time
held = bytearray(150_000_000)
time.sleep(0.5)
print("done")
"""


def test_a_small_child_of_a_large_program_is_small(repository: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _LARGE_PARENT, _CHILD],
        env={"PYTHONPATH": f"{repository}:{repository / 'tools'}"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["output"] == "done\n"
    assert 150 * MB < found["peak"] < 250 * MB
    assert found["own"] > 400 * MB
    assert found["children"] > 400 * MB  # why getrusage is not asked


def test_a_program_that_fails_is_an_error_with_what_it_said() -> None:
    with pytest.raises(subprocess.CalledProcessError) as caught:
        watched_run([sys.executable, "-c", "raise SystemExit('no')"], stderr=subprocess.PIPE)
    assert caught.value.stderr == "no\n"
