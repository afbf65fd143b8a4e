"""View sets that wait for scoring: in order, few of them with images, none left unsaid."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from edgeflow.synchronizer import ViewSet

__all__ = ["OVERRUN", "ReadySets"]

OVERRUN = "overrun: scoring is slower than the trigger rate"

_WAITING_SETS = 2  # with images; more would only make every decision late


class ReadySets:
    """View sets that wait for the consumer: in order, at most two of them with images."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: deque[list[ViewSet]] = deque()  # cells of one, so that a set can be replaced
        self._loaded: deque[list[ViewSet]] = deque()  # the cells among them whose set has images
        self._finished = False
        self._error: Exception | None = None

    def put(self, view_set: ViewSet) -> None:
        """Append a set; where too many wait, the oldest one loses its images."""
        with self._changed:
            cell = [view_set]
            self._waiting.append(cell)
            if view_set.frames:
                self._loaded.append(cell)
            if len(self._loaded) > _WAITING_SETS:
                oldest = self._loaded.popleft()
                oldest[0] = replace(oldest[0], frames={}, fault=OVERRUN)
            self._changed.notify_all()

    def take(self) -> ViewSet | None:
        """The next set; waits for it; None when no more will come."""
        with self._changed:
            while not self._waiting and not self._finished:
                self._changed.wait()
            if not self._waiting:
                if self._error is not None:
                    raise self._error
                return None
            cell = self._waiting.popleft()
            if self._loaded and self._loaded[0] is cell:
                self._loaded.popleft()
            return cell[0]

    def finish(self, error: Exception | None) -> None:
        """No more sets will come; an error is raised to the consumer after the waiting ones."""
        with self._changed:
            self._error = self._error or error
            self._finished = True
            self._changed.notify_all()
