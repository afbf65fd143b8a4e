"""Frames that cameras deliver before the line runs: for a look at the views, never for a part."""

from __future__ import annotations

import threading

from edgeflow.cameras.camera import Frame
from edgeflow.clock import monotonic_ns

__all__ = ["FirstFrames"]


class FirstFrames:
    """Keeps the latest frame of each view; cameras' threads add frames, another one waits for all views."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._frames: dict[str, Frame] = {}

    def add(self, frame: Frame) -> None:
        """Keep a frame in place of an earlier one of its view."""
        with self._changed:
            self._frames[frame.view] = frame
            self._changed.notify_all()

    def wait(self, count: int, timeout_s: float) -> dict[str, Frame]:
        """Wait until so many views have a frame, or until the time is over; return view → frame."""
        deadline_ns = monotonic_ns() + round(timeout_s * 1e9)
        with self._changed:
            while len(self._frames) < count and monotonic_ns() < deadline_ns:
                self._changed.wait((deadline_ns - monotonic_ns()) / 1e9)
            return dict(self._frames)

    def clear(self) -> None:
        """Release the frames: their images are in memory that cameras need."""
        self._frames.clear()
