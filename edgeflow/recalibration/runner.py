"""Starts the child process that proposes or writes thresholds, follows it, and ends it when asked."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from edgeflow.child_process import error_of
from edgeflow.errors import EdgeflowError, UsageError
from edgeflow.recalibration.proposal import CHANGED

__all__ = ["BusyError", "JobEnd", "JobState", "RecalibrationRunner"]

logger = logging.getLogger(__name__)

Kind = Literal["propose", "write"]
_GRACE_S = 8.0
_LONGEST_LINE = 500


class BusyError(UsageError):
    """A job runs already."""


@dataclass(frozen=True, kw_only=True)
class JobEnd:
    """The end of a job.

    Attributes:
        outcome: ``changed``: nothing was written, since labels changed; a new proposal was made instead.
        error: class of the error, such as ``AccuracyError``; empty where there is none.
    """

    kind: Kind
    outcome: Literal["done", "failed", "cancelled", "died", "changed"]
    error: str = ""
    message: str = ""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class JobState:
    """The job that runs, and the end of the one before.

    Attributes:
        kind: None while none runs.
        step: as the child reported it last.
    """

    kind: Kind | None = None
    by: str = ""
    step: Mapping[str, Any] = field(default_factory=lambda: {"step": "read"})
    last: JobEnd | None = None


class RecalibrationRunner:
    """One job at a time. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._cancelled = False
        self.now = JobState()

    def start(self, job: Mapping[str, Any]) -> None:
        """Begin a job.

        Args:
            job: for ``process.py``; has ``kind`` and ``by``.

        Raises:
            BusyError: another one runs.
        """
        with self._lock:
            if self.now.kind is not None:
                raise BusyError("a calculation runs already; wait for its end, or cancel it")
            self._cancelled = False
            self.now = JobState(kind=job["kind"], by=job["by"])
        threading.Thread(target=self._work, args=(dict(job),), name="recalibration", daemon=True).start()

    def cancel(self) -> None:
        """End the calculation that runs; one that writes a bundle goes on, since it is nearly done."""
        with self._lock:
            if self.now.kind != "propose":
                return
            self._cancelled = True
            child = self._child
        if child is not None:
            child.terminate()
            try:
                child.wait(_GRACE_S)
            except subprocess.TimeoutExpired:
                child.kill()

    def _work(self, job: dict[str, Any]) -> None:
        kind: Kind = job["kind"]
        try:
            answer = self._answer(job)
            if answer.get("outcome") == CHANGED:
                self._answer({**job, "kind": "propose"})
                end = JobEnd(kind=kind, outcome="changed")
            else:
                end = JobEnd(kind=kind, outcome="done")
        except EdgeflowError as cause:
            end = JobEnd(
                kind=kind,
                outcome="failed",
                error=type(cause).__name__,
                message=cause.message,
                problems=cause.problems,
            )
        except _EndedError as cause:
            end = JobEnd(kind=kind, outcome="cancelled" if self._cancelled else "died", message=str(cause))
        except Exception as cause:
            logger.exception("a recalibration failed")
            end = JobEnd(kind=kind, outcome="died", message=str(cause))
        if end.outcome in ("cancelled", "died") and "output" in job:
            draft = Path(job["output"] + ".unproven")
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        with self._lock:
            self._child = None
            self.now = JobState(last=end)

    def _answer(self, job: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run the child to its end.

        Raises:
            EdgeflowError: as the child raised it.
            _EndedError: it ended without an answer.
        """
        last, answer = "", None
        with self._started(job) as child:
            for text in child.stdout or ():
                line = _json_object(text)
                if line is None:
                    last = text.strip()[:_LONGEST_LINE] or last
                elif "step" in line:
                    with self._lock:
                        self.now = JobState(kind=job["kind"], by=job["by"], step=line)
                else:
                    answer = line
        if answer is None:
            raise _EndedError(f"ended with code {child.returncode}{': ' if last else ''}{last}")
        if (error := error_of(answer)) is not None:
            raise error
        found: Mapping[str, Any] = answer["answer"]
        return found

    def _started(self, job: Mapping[str, Any]) -> subprocess.Popen[str]:
        paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
        with self._lock:
            if self._cancelled:
                raise _EndedError("before it began")
            child = subprocess.Popen(
                [sys.executable, "-m", "edgeflow.recalibration.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
            )
            self._child = child
        with contextlib.suppress(BrokenPipeError):
            if child.stdin is not None:
                child.stdin.write(json.dumps(dict(job)) + "\n")
                child.stdin.flush()  # it stays open: its end is the end of this process
        return child


class _EndedError(Exception):
    """The child ended without an answer."""


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) else None
