"""The camera's clock read again and again: one wrong reading ends nothing."""

from __future__ import annotations

from edgeflow.cameras.genicam.clock_latch import ClockLatch
from edgeflow.cameras.genicam.device_clock import DeviceClock
from edgeflow.clock import monotonic_ns

S = 10**9


class Camera:
    """Aravis's interface of a camera with a latch; its clock is ``ahead_ns`` before the computer's."""

    def __init__(self) -> None:
        self.ahead_ns = 5 * S
        self._latched_ns = 0

    def is_feature_available(self, name: str) -> bool:
        return name.startswith("TimestampLatch")

    def execute_command(self, _name: str) -> None:
        self._latched_ns = monotonic_ns() + self.ahead_ns

    def get_integer(self, _name: str) -> int:
        return self._latched_ns


def test_a_reading_while_the_clock_is_set_does_not_end_the_readings() -> None:
    camera, clock = Camera(), DeviceClock()
    latch = ClockLatch(camera, RuntimeError, clock)
    latch.start()
    sent_ns = monotonic_ns()
    clock.captured_ns(sent_ns + camera.ahead_ns, sent_ns)
    camera.ahead_ns += 60 * S
    latch.compare(monotonic_ns(), due=True)  # the frames' stamps have not followed yet
    exposed_ns = monotonic_ns()
    clock.captured_ns(exposed_ns + camera.ahead_ns, exposed_ns + S // 10)
    latch.compare(monotonic_ns(), due=True)
    low_ns, high_ns = clock.exposed_ns(exposed_ns + camera.ahead_ns)
    assert low_ns is not None
    assert high_ns is not None
    assert low_ns - S // 100 < exposed_ns < high_ns + S // 100
