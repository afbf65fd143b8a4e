"""Reads a GenICam camera's clock between two looks at the computer's."""

from __future__ import annotations

from typing import Any

from edgeflow.cameras.genicam.device_clock import DeviceClock
from edgeflow.clock import monotonic_ns

__all__ = ["ClockLatch"]

_FEATURES = (  # command, value, ticks a second where these are not nanoseconds
    ("TimestampLatch", "TimestampLatchValue", None),
    ("GevTimestampControlLatch", "GevTimestampValue", "GevTimestampTickFrequency"),
)
_AT_START = 5  # readings, of which the quickest ones count
_PERIOD_NS = 2 * 10**9  # clocks part by 0.2 ms in this time
_BUSY_NS = 10 * 10**9  # so much later where an image is on its way all the time
_NS_PER_S = 10**9


class ClockLatch:
    """Latches the time stamp of one camera again and again, where the camera can do that.

    Args:
        device: an open Aravis camera.
        error: what its calls raise.
    """

    def __init__(self, device: Any, error: type[Exception], clock: DeviceClock) -> None:
        self._device = device
        self._error = error
        self._clock = clock
        self._due_ns = 0
        self._features = next(
            (f for f in _FEATURES if all(device.is_feature_available(name) for name in f if name)), None
        )

    def start(self) -> None:
        """Compare the clocks before the first frame."""
        for _ in range(_AT_START):
            self.compare(monotonic_ns(), due=True)

    def compare(self, now_ns: int, *, due: bool = False, busy: bool = False) -> None:
        """Compare the clocks when it is due; a camera that does not answer is tried again later.

        Args:
            busy: the camera owes an image; a trigger that comes meanwhile would wait for the answer.
        """
        if self._features is None or not (due or now_ns >= self._due_ns + busy * _BUSY_NS):
            return
        self._due_ns = now_ns + _PERIOD_NS
        command, value, frequency = self._features
        try:
            before_ns = monotonic_ns()
            self._device.execute_command(command)
            after_ns = monotonic_ns()
            ticks = int(self._device.get_integer(value))
            per_s = int(self._device.get_integer(frequency)) if frequency else _NS_PER_S
        except self._error:
            return  # that it is gone, its stream tells
        if (
            per_s > 0
        ):  # a reading that cannot be of the frames' clock is passed over: the clock may just be set
            self._clock.read(ticks * _NS_PER_S // per_s, before_ns, after_ns)
