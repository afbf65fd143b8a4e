"""A thread that takes only what others leave of a processor."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

__all__ = ["PatientThread"]

_NICENESS = 19


class PatientThread:
    """Makes calls on a thread of the lowest priority.

    For work in compiled code and system calls, which do not hold the GIL. A thread of low priority that held
    it while others take the processor would hold up the line.
    """

    def __init__(self, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, name, initializer=_step_back)

    def call(self, work: Callable[[], None]) -> None:
        """Make a call and wait for its end; its error is raised here."""
        self._pool.submit(work).result()

    def close(self) -> None:
        """End the thread after the call in hand."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _step_back() -> None:
    with suppress(OSError):  # a system where threads have no priority of their own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
