"""A camera's own frame counter without its wrap-around."""

from __future__ import annotations

from edgeflow.cameras.camera import Frame

__all__ = ["UnwrappedCounter"]


class UnwrappedCounter:
    """Turns one camera's counters into positions that go on for ever; a reset shows as a jump.

    Neighbouring frames have neighbouring positions, whatever came before them.

    GigE Vision's 16-bit counters go from 65535 to 1, since 0 is reserved; a camera that sends a 0 all the
    same counts with it. A frame without a counter is numbered by its driver, which does not notice losses.
    """

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None  # counter and position of the newest frame
        self._skips_zero = True

    def position(self, frame: Frame) -> int:
        """The frame's position; it lies before that of a frame that it overtook."""
        if frame.counter is None:
            return self.position_of(frame.frame_id, 64)
        return self.position_of(frame.counter, frame.counter_bits or 64)

    def position_of(self, counter: int, bits: int) -> int:
        """The position of the frame with this number of so many bits."""
        if counter == 0:
            self._skips_zero = False
        if self._last is None:
            self._last = counter, counter
            return counter
        cycle = (1 << bits) - (1 if self._skips_zero and bits == 16 else 0)
        step = (counter - self._last[0]) % cycle
        if step > cycle // 2:
            step -= cycle
        position = self._last[1] + step
        if step > 0:
            self._last = counter, position
        return position
