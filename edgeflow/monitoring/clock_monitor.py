"""An alarm when the box's wall clock is set to another time while the box runs."""

from __future__ import annotations

import threading
import time

from edgeflow.alarms import Alarms

__all__ = ["ClockMonitor"]

_LOOK_S = 1.0
_JUMP_S = 2.0  # a time server that corrects smoothly moves the clock by less than 1 ms in a second
_STANDS_S = 600.0
_AT_ONCE_S = 0.5  # both clocks have to be read within this, or nothing is said


class ClockMonitor:
    """Compares the wall clock with the time since the computer was started, once a second.

    Nothing in the box depends on the wall clock but what it says to others: times in messages, and whether a
    command or a bundle is out of date. The alarm names the jump, stands for ten minutes, and is over then.
    """

    def __init__(self, alarms: Alarms) -> None:
        self._alarms = alarms
        self._ahead_s: float | None = None
        self._jumped_at_s: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock-watch", daemon=True)

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._stop.set()
        self._thread.join(_LOOK_S)

    def look(self, wall_s: float, up_s: float) -> None:
        """Raise the alarm where the wall clock was set, and end it after a while.

        Args:
            wall_s: seconds since 1970 by the wall clock.
            up_s: seconds since the computer was started.
        """
        ahead_s = wall_s - up_s
        before_s, self._ahead_s = self._ahead_s, ahead_s
        if before_s is not None and abs(ahead_s - before_s) >= _JUMP_S:
            self._jumped_at_s = up_s
            self._alarms.raise_("clock_jumped", "warning", _jump_text(ahead_s - before_s))
        elif self._jumped_at_s is not None and up_s - self._jumped_at_s >= _STANDS_S:
            self._jumped_at_s = None
            self._alarms.clear("clock_jumped")

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            before_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            wall_s = time.time()
            after_s = time.clock_gettime(time.CLOCK_BOOTTIME)
            if after_s - before_s < _AT_ONCE_S:
                self.look(wall_s, after_s)


def _jump_text(by_s: float) -> str:
    way = "forward" if by_s > 0 else "back"
    return (
        f"the box's clock was set {way} by {_duration(abs(by_s))}; no result and no evidence is removed for "
        "it, but times in messages jump, and a controller may take decisions for outdated until its own "
        "clock agrees; check the time server (chrony)"
    )


def _duration(seconds: float) -> str:
    for unit, size in (("days", 86_400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"
