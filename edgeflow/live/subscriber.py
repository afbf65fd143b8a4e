"""One watcher's queue: bounded in lines, the oldest dropped first, one picture at a time."""

from __future__ import annotations

import json
import threading
from collections import deque
from dataclasses import dataclass
from typing import Literal

__all__ = ["Kind", "Line", "Subscriber"]

Kind = Literal["hello", "result", "status", "preview"]

_MOST = 64
_ONLY_THE_LATEST: frozenset[Kind] = frozenset({"status", "preview"})


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the stream, ready to be sent.

    Attributes:
        data: JSON with its line end.
    """

    kind: Kind
    data: bytes


class Subscriber:
    """Queue between the thread ``live``, which never waits, and the thread that writes to one watcher."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque()
        self._changed = threading.Condition()
        self._dropped = 0
        self._closed = False

    def put(self, line: Line) -> None:
        """Queue a line; a newer status or picture replaces the one that waits, else the oldest line goes."""
        with self._changed:
            if line.kind in _ONLY_THE_LATEST:
                self._lines = deque(queued for queued in self._lines if queued.kind != line.kind)
            elif len(self._lines) >= _MOST:
                self._lines.popleft()
                self._dropped += 1
            self._lines.append(line)
            self._changed.notify()

    def take(self, timeout_s: float | None = None) -> bytes | None:
        """Wait for the next line, after a line ``dropped`` where lines were dropped.

        Returns:
            No bytes after ``timeout_s`` without a line, None at the end.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closed, timeout_s)
            if self._closed:
                return None
            if not self._lines:
                return b""
            dropped, self._dropped = self._dropped, 0
            data = self._lines.popleft().data
        if not dropped:
            return data
        return json.dumps({"kind": "dropped", "count": dropped}).encode() + b"\n" + data

    def close(self) -> None:
        """Let ``take`` return None."""
        with self._changed:
            self._closed = True
            self._changed.notify()
