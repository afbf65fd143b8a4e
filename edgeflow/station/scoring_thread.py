"""Scoring thread: the line waits for it no longer than a part's deadline allows."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from edgeflow.clock import monotonic_ns
from edgeflow.scoring.scorer import Scores
from edgeflow.thread_activity import waiting, working

__all__ = ["NotScoredInTime", "ScoringThread"]

logger = logging.getLogger(__name__)

_NEVER_S = float("inf")
_SLICE_S = 1.0  # the longest wait without a sign of life


class NotScoredInTime(Exception):  # noqa: N818 - no error: the part has its verdict, by the policy for late ones
    """The time was over before there was an answer; the message says since when it has been awaited."""


class Closable(Protocol):
    """Holder of a device or a file."""

    def close(self) -> None: ...


@dataclass(kw_only=True)
class _Job:
    """A call, and what became of it; ``done`` is released when that is known."""

    work: Callable[[], Scores]
    limit_ns: int
    done: threading.Lock = field(default_factory=threading.Lock)
    begun_ns: int = 0
    answer: Scores | None = None
    error: BaseException | None = None

    def run(self) -> None:
        try:
            self.answer = self.work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the answer is waited for
            self.error = error
        finally:
            self.done.release()


class ScoringThread:
    """Executes calls one after the other; the caller stops waiting for a call that hangs.

    Native code cannot be interrupted, and a device that hangs returns never. So the line hands each part over
    and takes the answer back, or stops waiting at the deadline. An answer that comes later is discarded: the
    part has had its decision. Until then nothing else can be scored.

    Args:
        clock: monotonic, in nanoseconds.
    """

    def __init__(self, clock: Callable[[], int] = monotonic_ns) -> None:
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | Callable[[], None] | None] = queue.SimpleQueue()
        self._last: _Job | None = None  # unanswered
        self._thread = threading.Thread(target=self._run, name="scoring", daemon=True)

    def call(
        self,
        work: Callable[[], Scores],
        *,
        until_ns: int,
        limit_ns: int,
        turn: Callable[[], None] = lambda: None,
    ) -> Scores:
        """Return the result of ``work``, or raise its error.

        Args:
            until_ns: the moment, on the clock, to stop waiting.
            limit_ns: how long the call may take before it counts as one that hangs.
            turn: called every second while waiting.

        Raises:
            NotScoredInTime: no answer by then, or an earlier call hangs.
        """
        if self._last is not None and (self.hangs() or not self._wait(self._last, until_ns, turn)):
            raise NotScoredInTime(self._silence())
        job = _Job(work=work, limit_ns=limit_ns, begun_ns=self._clock())
        job.done.acquire()
        if self._thread.ident is None:
            self._thread.start()
        self._last = job
        self._jobs.put(job)
        if not self._wait(job, until_ns, turn):
            raise NotScoredInTime(self._silence())
        if job.answer is None:
            raise job.error if isinstance(job.error, Exception) else RuntimeError(repr(job.error))
        return job.answer

    def release(self, used: Closable) -> None:
        """Close what calls have used, after the call in hand; returns at once."""
        self._jobs.put(used.close)

    def hangs(self) -> bool:
        """Return True while a call takes longer than its limit."""
        job = self._last
        return job is not None and job.done.locked() and self._clock() - job.begun_ns > job.limit_ns

    def close(self, timeout_s: float) -> bool:
        """End after the call in hand; False where that does not return in time: the thread is left."""
        self._jobs.put(None)
        if self._thread.ident is None:
            self._run()  # what is to be released is waiting there
        else:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _wait(self, job: _Job, until_ns: int, turn: Callable[[], None]) -> bool:
        """Wait for a job; return True when it was done in time, and the thread is free."""
        while True:
            left_s = max(0.0, (until_ns - self._clock()) / 1e9)
            if job.done.acquire(timeout=min(left_s, _SLICE_S)):
                self._last = None
                return True
            if left_s <= _SLICE_S:
                return False
            turn()

    def _silence(self) -> str:
        job = self._last
        waited_s = (self._clock() - job.begun_ns) / 1e9 if job is not None else 0.0
        return f"scoring has not answered for {waited_s:.1f} s"

    def _run(self) -> None:
        while (job := self._next()) is not None:
            working(_NEVER_S)  # whether it hangs is asked here, see ``hangs``
            if isinstance(job, _Job):
                job.run()
                continue
            try:
                job()
            except Exception:
                logger.exception("what scoring no longer needs could not be released")

    def _next(self) -> _Job | Callable[[], None] | None:
        waiting()
        return self._jobs.get()
