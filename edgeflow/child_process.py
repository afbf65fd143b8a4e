"""A module run in a child process: one JSON job in, one JSON answer or a mapped error out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeflow import errors
from edgeflow.errors import DeviceError, EdgeflowError

__all__ = ["ChildDiedError", "answer_job", "error_of", "run_job"]


class ChildDiedError(Exception):
    """The child process ended without an answer.

    Attributes:
        returncode: its exit status; negative for the signal that ended it.
        last_line: the last line of its standard error.
    """

    def __init__(self, returncode: int, last_line: str) -> None:
        super().__init__(f"ended with code {returncode}: {last_line}")
        self.returncode = returncode
        self.last_line = last_line


def run_job(module: str, job: Mapping[str, object], *, timeout_s: float) -> dict[str, Any]:
    """Run ``python -m module`` with a job, and return its answer; see :func:`error_of` for failures.

    The child imports what this process imports, and nothing from the current folder.

    Raises:
        TimeoutError: the child took longer than ``timeout_s`` and was killed.
        ChildDied: it ended without an answer.
    """
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    try:
        done = subprocess.run(  # noqa: S603 - a module of this program
            [sys.executable, "-m", module],
            input=json.dumps(dict(job)),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
        )
    except subprocess.TimeoutExpired as cause:
        raise TimeoutError from cause
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError) as cause:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ChildDiedError(done.returncode, last[0]) from cause
    return answer


def error_of(answer: Mapping[str, Any]) -> EdgeflowError | None:
    """Return the error that an answer reports, of the class that the child raised; None for a success."""
    if "error" not in answer:
        return None
    kind: type[EdgeflowError] = getattr(errors, answer["error"], DeviceError)
    return kind(answer["message"], problems=answer["problems"])


def answer_job(work: Callable[[dict[str, Any]], Mapping[str, Any]]) -> None:
    """Read the job from standard input, and write the answer or the error to standard output.

    This is the child's side of :func:`run_job`.
    """
    job = json.load(sys.stdin)
    try:
        answer = dict(work(job))
    except EdgeflowError as error:
        answer = {"error": type(error).__name__, "message": error.message, "problems": error.problems}
    sys.stdout.write(json.dumps(answer) + "\n")
