"""The camera's clock on the computer's: when a frame was exposed, whenever it arrived."""

from __future__ import annotations

from collections import deque

__all__ = ["DeviceClock"]

_WINDOW_NS = 10_000_000_000  # clocks that differ by 50 ppm part by 0.5 ms in this time


class DeviceClock:
    """The offset of both clocks is the smallest that any frame of the last seconds had.

    Transfer only ever delays a frame, so the least delayed one is nearest to the truth; what a busy
    network or computer adds to single frames does not show in their stamps.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[int, int]] = deque()  # device stamp, offset

    def captured_ns(self, device_ns: int, arrived_ns: int) -> int:
        """The monotonic stamp of a frame; never after its arrival.

        Args:
            device_ns: the camera's stamp. One far from its predecessor is a clock set anew.
            arrived_ns: monotonic.
        """
        if self._recent and not 0 <= device_ns - self._recent[-1][0] < _WINDOW_NS:
            self._recent.clear()
        while self._recent and device_ns - self._recent[0][0] > _WINDOW_NS:
            self._recent.popleft()
        self._recent.append((device_ns, arrived_ns - device_ns))
        return device_ns + min(offset for _, offset in self._recent)
