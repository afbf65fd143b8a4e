"""Bounded queue between capture and scoring: in order, few sets with images, none lost."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace

from edgeflow.capture.view_set import ViewSet

__all__ = ["OVERRUN", "ViewSetQueue"]

OVERRUN = "overrun: scoring is slower than the trigger rate"


class ViewSetQueue:
    """View sets that wait for the consumer: in order, only so many of them with images.

    More would only make every decision late. What comes at once while the consumer waits, such as the sets
    that a missing view held up, is not too much: only a consumer that is busy is too slow.

    Args:
        most: how many may wait with their images.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._idle = False  # the consumer waits
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
            self._shed(self._most)
            self._changed.notify_all()

    def make_room(self) -> None:
        """Shed a set when a part begins, so that its images do not wait."""
        with self._changed:
            self._shed(self._most - 1)

    def _shed(self, most: int) -> None:
        while len(self._loaded) > most and not self._idle:
            oldest = self._loaded.popleft()
            oldest[0] = replace(oldest[0], frames={}, fault=OVERRUN, fault_code="overrun")

    def wait(self, timeout_s: float) -> bool:
        """Wait until ``take`` returns at once, up to a time; return True when it does."""
        with self._changed:
            if not self._waiting and not self._finished:
                self._idle = True
                self._changed.wait_for(lambda: self._waiting or self._finished, timeout_s)
            return bool(self._waiting) or self._finished

    def take(self) -> ViewSet | None:
        """The next set; waits for it; None when no more will come."""
        with self._changed:
            while not self._waiting and not self._finished:
                self._idle = True
                self._changed.wait()
            self._idle = False
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
