"""When the frames of a recording are due, so that several recordings play in step."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """Frame k is due at ``epoch_ns + k / rate_hz`` on the monotonic clock."""

    def __init__(self, *, epoch_ns: int, rate_hz: float) -> None:
        self._epoch_ns = epoch_ns
        self._rate_hz = rate_hz

    def due_ns(self, frame: int) -> int:
        """When a frame is due."""
        return self._epoch_ns + round(frame * 1e9 / self._rate_hz)

    def current(self, now_ns: int) -> int:
        """The newest frame that is due; negative before the epoch."""
        return int((now_ns - self._epoch_ns) * self._rate_hz // 1e9)
