"""Supervision of a running box's threads: one that dies or hangs raises an alarm."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType

from edgeflow.alarms import Alarms
from edgeflow.errors import ThreadError
from edgeflow.thread_activity import overdue_threads

__all__ = ["DeadThreads", "Supervisor"]

logger = logging.getLogger(__name__)

_LOOK_S = 0.5
_STOP_S = 2.0


class DeadThreads:
    """Record of dead threads; ends the box on the first one."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._end: tuple[Callable[[], None], ...] = ()

    def __call__(self, text: str) -> None:
        """Record a dead thread; called on that thread."""
        self._texts.append(text)
        for step in self._end:
            step()

    def end_by(self, *steps: Callable[[], None]) -> None:
        """Call these functions when a thread dies; at once where one is dead already."""
        self._end = steps
        if self._texts:
            for step in steps:
                step()

    def raise_first(self) -> None:
        """Raise ThreadError where a thread died."""
        if self._texts:
            raise ThreadError(self._texts[0])


class Supervisor:
    """Watches over all threads of the process while it is entered.

    A thread dies of an exception that nobody caught, whoever started it: Python tells of it through
    ``threading.excepthook``. A thread hangs when it said ``thread_activity.working`` and is not heard of
    in time.

    Args:
        on_death: called once per dead thread, on that thread, with a sentence for people.
    """

    def __init__(self, alarms: Alarms, on_death: Callable[[str], None]) -> None:
        self._alarms = alarms
        self._on_death = on_death
        self._hanging: set[str] = set()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        self._earlier = threading.excepthook
        threading.excepthook = self._died
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(_STOP_S)
        threading.excepthook = self._earlier

    def look(self, now_s: float) -> None:
        """Raise an alarm for every thread that hangs now, and end those of threads that go on."""
        hanging = set(overdue_threads(now_s))
        for name in hanging:
            text = f"thread '{name}' hangs: it waits for a disk, a device or the network; see the box's log"
            self._alarms.raise_("thread_hangs", "error", text, subject=name)
        for name in self._hanging - hanging:
            self._alarms.clear("thread_hangs", subject=name)
        self._hanging = hanging

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self.look(time.monotonic())

    def _died(self, end: threading.ExceptHookArgs) -> None:
        name = end.thread.name if end.thread is not None else "unknown"
        text = f"thread '{name}' died: {end.exc_type.__name__}: {end.exc_value}; the box ends; see its log"
        trace = (end.exc_type, end.exc_value or end.exc_type(), end.exc_traceback)
        logger.error("%s", text, exc_info=trace)
        self._alarms.raise_("thread_died", "error", text)
        self._on_death(text)
