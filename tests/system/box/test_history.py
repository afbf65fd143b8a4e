"""The history of a real box: read beside it while it runs, and after its end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from simulators.small_box import start_box, write_box
from tests.support.waiting import wait_until

SHIFTS = {"time_zone": "Europe/Berlin", "starts": {"early": "06:00", "late": "14:00", "night": "22:00"}}


def results(path: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "results", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=path.parent,
    )


def test_every_result_is_recorded_and_read_while_the_box_runs_and_afterwards(tmp_path: Path) -> None:
    path = write_box(tmp_path, 1, shifts=SHIFTS, evidence={"ok_sample": 0.25}, trigger={"period_ms": 100})
    missing = results(path, "list", "box.yaml")
    assert (missing.returncode, "there is none yet" in missing.stderr) == (6, True)
    box = start_box(path)
    # A quarter of the parts is kept: there have to be some.
    wait_until(lambda: len(results(path, "list", "box.yaml", "-n", "8", "--json").stdout.splitlines()) == 8)
    box.terminate()
    shown = [
        json.loads(line) for line in box.communicate(timeout=120)[0].splitlines() if '"result_id"' in line
    ]
    found = [
        json.loads(line)
        for line in results(path, "list", "box.yaml", "-n", "9999", "--json").stdout.splitlines()
    ]
    assert [row["result_id"] for row in found][::-1] == [result["result_id"] for result in shown]
    assert [row["evidence"] for row in found][::-1] == [result["evidence"] for result in shown]
    kept = [row["kept"] for row in found]
    assert kept.count("sample") == len(found) // 4
    assert set(kept) == {"sample", None}
    counted = json.loads(results(path, "stats", "box.yaml", "--shift", "now", "--json").stdout)
    assert counted["results"] <= len(found)
    assert counted["missing"] == 0
    table = results(path, "list", "box.yaml").stdout
    assert max(map(len, table.splitlines())) <= 80
    assert results(path, "stats", "box.yaml", "--shift", "noon").returncode == 2
    written = results(path, "export", "box.yaml", "-o", "all.csv")
    assert written.stdout == f"all.csv: {len(found)} results\n", written.stderr
