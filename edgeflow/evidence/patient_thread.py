"""A thread that takes only what others leave of a processor."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress

__all__ = ["PatientThread"]

_NICENESS = 19
_END_S = 1.0


class PatientThread:
    """Makes calls on a thread of the lowest priority.

    For work in compiled code and system calls, which do not hold the GIL. A thread of low priority that held
    it while others take the processor would hold up the line. A call that never returns, on a disk that does
    not answer, does not keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Callable[[], None], Future[None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def call(self, work: Callable[[], None]) -> None:
        """Make a call and wait for its end; its error is raised here."""
        done: Future[None] = Future()
        self._calls.put((work, done))
        done.result()

    def close(self) -> None:
        """End the thread; wait for a moment where a call is in hand."""
        self._calls.put(None)
        if self._thread.ident is not None:
            self._thread.join(_END_S)

    def _run(self) -> None:
        with suppress(OSError):  # a system where threads have no priority of their own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while (wanted := self._calls.get()) is not None:
            work, done = wanted
            try:
                work()
            except BaseException as error:  # noqa: BLE001 - it is the caller's
                done.set_exception(error)
            else:
                done.set_result(None)
