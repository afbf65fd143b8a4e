"""The child process alone: its priority, its lock, and its end with whoever started it."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.waiting import wait_until

# A calculation takes what is left of the processor, and beside other tests nothing is.
pytestmark = [pytest.mark.long, pytest.mark.alone]


def job(folder: Path, **changes: Any) -> dict[str, Any]:
    return {
        "kind": "propose",
        "bundle": str(folder / "box.bundle"),
        "history": str(folder / "history.db"),
        "evidence": None,
        "proposal": str(folder / "proposal.json"),
        "rate": None,
        "product": None,
        "by": "eva",
        **changes,
    }


@contextmanager
def begun(work: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    """The child with its job; its standard input stays open."""
    command = [sys.executable, "-m", "edgeflow.recalibration.process"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        child.stdin.write(json.dumps(work) + "\n")
        child.stdin.flush()
        yield child


def last_line(child: subprocess.Popen[str]) -> dict[str, Any]:
    assert child.stdout is not None
    return dict(json.loads(child.stdout.read().splitlines()[-1]))


def test_another_pages_calculation_is_in_the_way(tmp_path: Path) -> None:
    with (tmp_path / "proposal.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with begun(job(tmp_path)) as child:
            answer = last_line(child)
    assert (answer["error"], "another page" in answer["message"]) == ("UsageError", True)


def test_what_is_missing_is_said_as_on_the_command_line(tmp_path: Path) -> None:
    with begun(job(tmp_path)) as child:
        answer = last_line(child)
    assert answer["error"] == "UsageError"
    assert "box.bundle" in answer["message"]
    with begun(job(tmp_path, kind="write", output="new.bundle", proposal_id="x")) as child:
        answer = last_line(child)
    assert "not the latest calculation" in answer["message"]


def test_it_takes_only_what_is_left_and_ends_with_its_page(tmp_path: Path) -> None:
    """Its lock is on a drive that hangs, so to speak: a pipe that nobody reads."""
    os.mkfifo(tmp_path / "proposal.lock")
    with begun(job(tmp_path)) as child:
        adjusted = Path(f"/proc/{child.pid}/oom_score_adj")
        wait_until(lambda: adjusted.read_text().strip() == "1000")
        assert os.getpriority(os.PRIO_PROCESS, child.pid) == 19
        assert os.sched_getscheduler(child.pid) == os.SCHED_IDLE
        assert len(os.sched_getaffinity(child.pid)) == 1
        assert child.stdin is not None
        child.stdin.close()
        wait_until(lambda: child.poll() is not None)
    assert child.returncode == 1
    assert not (tmp_path / "proposal.json").exists()
