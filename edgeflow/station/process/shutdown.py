"""Shutdown of a box's process within a time limit, whatever hangs."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import TracebackType

from edgeflow.thread_activity import busy_threads

__all__ = ["STOP_LIMIT_S", "TimedShutdown", "end_process"]

logger = logging.getLogger(__name__)

STOP_LIMIT_S = 15.0
"""From the signal to the end; the service's ``TimeoutStopSec`` is longer."""

_LAST_WORDS_S = 3.0
_HARDWARE = 6


class TimedShutdown:
    """A countdown that begins with SIGTERM or SIGINT and ends the process, unless it ended before.

    The signal's number is written to a socket by the interpreter's own handler, in C: a thread of this class
    reads it there also while the main thread hangs in native code and would never run a handler of Python.
    Enter it on the main thread, after the signals' handlers are set.

    Args:
        before_exit: called with the reason; stores and publishes what is left, for a few seconds at most.
        exit_process: with the exit code; returns never.
    """

    def __init__(
        self,
        before_exit: Callable[[str], None],
        *,
        limit_s: float = STOP_LIMIT_S,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        self._before_exit = before_exit
        self._limit_s = limit_s
        self._exit_process = exit_process
        self._exit_code = _HARDWARE
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="timed-end", daemon=True)

    def __enter__(self) -> TimedShutdown:
        self._earlier = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """The process has come to its end by itself."""
        self._ended.set()
        signal.set_wakeup_fd(self._earlier)
        self._wake(0)
        self._thread.join()
        self._reader.close()
        self._writer.close()

    def begin(self, exit_code: int) -> None:
        """Begin the countdown from any thread, without a signal."""
        self._exit_code = exit_code
        self._wake(signal.SIGTERM)

    def _wake(self, number: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._writer.send(bytes([number]))

    def _run(self) -> None:
        wanted = {signal.SIGTERM, signal.SIGINT}
        while not self._ended.is_set() and not wanted & set(self._reader.recv(64)):
            pass
        if self._ended.wait(self._limit_s):
            return
        busy = ", ".join(busy_threads()) or "only the main one"
        text = f"ended by force: still running {self._limit_s:g} s after the signal; busy threads: {busy}"
        logger.error("%s", text)
        words = threading.Thread(target=self._before_exit, args=(text,), name="last-words", daemon=True)
        words.start()
        words.join(_LAST_WORDS_S)
        self._exit_process(self._exit_code)


def end_process(exit_code: int) -> None:
    """End the process; at once where threads were left behind.

    Python's own way out waits for libraries to clean up, which never ends while a device hangs.
    """
    if not busy_threads():
        sys.exit(exit_code)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(exit_code)
