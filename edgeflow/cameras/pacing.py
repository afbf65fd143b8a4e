"""Pacing of recordings: due times of frames, so that several recordings play in step."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

__all__ = ["Pace", "Pacing", "RecordedPace"]


class Pacing(Protocol):
    """Due times of frames."""

    def due_ns(self, frame: int) -> int:
        """Return the due time of a frame."""

    def current(self, now_ns: int) -> int:
        """The newest frame that is due; negative before the first."""


class Pace:
    """Frame k is due at ``epoch_ns + k / rate_hz`` on the monotonic clock."""

    def __init__(self, *, epoch_ns: int, rate_hz: float) -> None:
        self._epoch_ns = epoch_ns
        self._rate_hz = rate_hz

    def due_ns(self, frame: int) -> int:
        """Return the due time of a frame."""
        return self._epoch_ns + round(frame * 1e9 / self._rate_hz)

    def current(self, now_ns: int) -> int:
        """The newest frame that is due; negative before the epoch."""
        return int((now_ns - self._epoch_ns) * self._rate_hz // 1e9)


class RecordedPace:
    """Frames are due as far from each other as they were taken; a loop goes on after one usual distance.

    Args:
        offsets_ns: of each frame from the recording's start, rising.
        span_ns: from one pass to the next.
    """

    def __init__(self, *, epoch_ns: int, offsets_ns: Sequence[int], span_ns: int) -> None:
        self._epoch_ns = epoch_ns
        self._offsets_ns = offsets_ns
        self._span_ns = span_ns

    def due_ns(self, frame: int) -> int:
        """Return the due time of a frame."""
        turn, place = divmod(frame, len(self._offsets_ns))
        return self._epoch_ns + turn * self._span_ns + self._offsets_ns[place]

    def current(self, now_ns: int) -> int:
        """The newest frame that is due; negative before the first."""
        turn, within_ns = divmod(now_ns - self._epoch_ns, self._span_ns)
        return turn * len(self._offsets_ns) + bisect_right(self._offsets_ns, within_ns) - 1
