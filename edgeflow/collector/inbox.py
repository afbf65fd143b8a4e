"""Bounded queue between the network thread and the writer."""

from __future__ import annotations

import threading
import time
from collections import deque

from edgeflow.collector.records import Received

__all__ = ["Inbox"]

_PER_MESSAGE = 600  # bytes beside the payload


class Inbox:
    """Received messages in their order; what does not fit is refused, and its box sends it again.

    Args:
        max_bytes: of all messages that wait.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._waiting: deque[tuple[float, Received]] = deque()
        self._bytes = 0
        self._refused = 0
        self._wanted = 1  # messages for which the writer wakes up
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def refused(self) -> int:
        """Messages that were not taken for want of memory."""
        return self._refused

    @property
    def oldest_age_s(self) -> float:
        """Seconds that the oldest message has waited; 0 where none waits."""
        with self._changed:
            return time.monotonic() - self._waiting[0][0] if self._waiting else 0.0

    def put(self, message: Received) -> bool:
        """Take a message; return False where there is no room. Never blocks."""
        size = len(message.payload) + _PER_MESSAGE
        with self._changed:
            if self._bytes + size > self._max_bytes:
                self._refused += 1
                return False
            self._waiting.append((time.monotonic(), message))
            self._bytes += size
            if len(self._waiting) >= self._wanted:
                self._changed.notify()
            return True

    def take(self, max_rows: int, max_s: float, timeout_s: float) -> list[Received]:
        """Return the oldest messages: as many as there are ``max_s`` after the first came, or ``max_rows``.

        Args:
            timeout_s: wait so long for the first one; then the list is empty.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: bool(self._waiting), timeout_s):
                return []
            left_s = self._waiting[0][0] + max_s - time.monotonic()
            if left_s > 0:
                self._wanted = max_rows
                self._changed.wait_for(lambda: len(self._waiting) >= max_rows, left_s)
                self._wanted = 1
            found = [self._waiting.popleft()[1] for _ in range(min(max_rows, len(self._waiting)))]
            self._bytes -= sum(len(message.payload) + _PER_MESSAGE for message in found)
            return found
