"""A view that the line never waits for: whoever reads the output may be slow, stopped or gone."""

from __future__ import annotations

import io
import logging
import os
import queue
import select
import sys
import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from types import TracebackType

from edgeflow.contracts.messages import Result, VerdictName
from edgeflow.station.line import RunView

__all__ = ["BackgroundView"]

logger = logging.getLogger(__name__)

_WAITING = 1000  # results that wait to be printed
_LOOK_S = 0.5
_PATIENCE_S = 5.0  # at the end, without anything being read


class BackgroundView:
    """Prints on a thread of its own; a context manager that prints what waits before it ends.

    A pipe that nobody reads, or a terminal that was halted, would otherwise stop the line. What waits for
    too long is left out, which is logged; a reader that has gone is no reason to stop either.
    """

    def __init__(self, view: RunView) -> None:
        self._view = view
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._printed = 0
        self._left_out = 0
        self._given_up = False
        self._thread = threading.Thread(target=self._run, name="output", daemon=True)

    def __enter__(self) -> BackgroundView:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Print what waits, for as long as somebody reads."""
        self._waiting.put(None)
        before = -1
        while self._thread.is_alive() and self._printed != before:
            before = self._printed
            self._thread.join(_PATIENCE_S)
        self._given_up = True
        self._thread.join(2 * _LOOK_S)
        left_out = self._left_out + max(0, self._waiting.qsize() - 1)
        if left_out:
            logger.warning("standard output was not read: %d results were left out there", left_out)

    def ready(self, text: str) -> None:
        """Print on the thread that the line is ready."""
        self._offer(partial(self._view.ready, text))

    def show(self, result: Result) -> None:
        """Print a result on the thread."""
        self._offer(partial(self._view.show, result))

    def finished(self, counts: Counter[VerdictName], waiting: int) -> None:
        """Print the counts at the end on the thread."""
        self._offer(partial(self._view.finished, counts, waiting))

    def _offer(self, say: Callable[[], None]) -> None:
        if self._waiting.qsize() < _WAITING and self._thread.is_alive():
            self._waiting.put(say)
            return
        self._left_out += 1
        if self._left_out == 1:
            logger.warning("standard output is not read: results are left out there; the line goes on")

    def _run(self) -> None:
        while (say := self._waiting.get()) is not None:
            while not _is_taken():
                if self._given_up:
                    return
            try:
                say()
            except OSError:
                _write_nowhere()
                return
            self._printed += 1


def _is_taken() -> bool:
    """True if standard output takes something now; waits a moment for it.

    A thread that hangs in writing would keep Python from ending; this one nearly never does.
    """
    try:
        return bool(select.select([], [sys.stdout.fileno()], [], _LOOK_S)[1])
    except (io.UnsupportedOperation, ValueError, OSError):  # no file at all, as in a test
        return True


def _write_nowhere() -> None:
    """Python writes what it still holds when it ends, and would fail then."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
