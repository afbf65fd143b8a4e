"""A job runs in a child process and comes back as an answer, as its own error, or as the child's end."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from edgeflow.child_process import ChildDiedError, error_of, run_job
from edgeflow.errors import DeviceError, IntegrityError

CHILD = """
import os, sys, time
from edgeflow.child_process import answer_job
from edgeflow.errors import IntegrityError

def work(job):
    print("a library prints")
    if job["do"] == "fail":
        raise IntegrityError("broken", problems=["this", "that"])
    if job["do"] == "exit":
        sys.exit("out of order")
    if job["do"] == "die":
        os.abort()
    if job["do"] == "hang":
        time.sleep(60)
    return {"done": job["do"]}

answer_job(work)
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "some_child.py").write_text(CHILD)
    monkeypatch.syspath_prepend(tmp_path)
    return "some_child"


def test_the_answer_is_the_last_line_whatever_libraries_print(child: str) -> None:
    answer = run_job(child, {"do": "work"}, timeout_s=60)
    assert answer == {"done": "work"}
    assert error_of(answer) is None


def test_an_error_comes_back_as_the_class_that_was_raised(child: str) -> None:
    error = error_of(run_job(child, {"do": "fail"}, timeout_s=60))
    assert type(error) is IntegrityError
    assert (error.message, error.problems) == ("broken", ("this", "that"))


def test_an_error_of_an_unknown_class_is_the_devices() -> None:
    error = error_of({"error": "NoSuchError", "message": "odd", "problems": []})
    assert type(error) is DeviceError


def test_a_child_without_an_answer_says_how_it_ended(child: str) -> None:
    with pytest.raises(ChildDiedError) as died:
        run_job(child, {"do": "exit"}, timeout_s=60)
    # What a library printed is no answer.
    assert (died.value.returncode, died.value.last_line) == (1, "out of order")
    with pytest.raises(ChildDiedError) as died:
        run_job(child, {"do": "die"}, timeout_s=60)
    assert died.value.returncode == -signal.SIGABRT


def test_a_child_that_takes_too_long_is_ended(child: str) -> None:
    with pytest.raises(TimeoutError):
        run_job(child, {"do": "hang"}, timeout_s=2)
