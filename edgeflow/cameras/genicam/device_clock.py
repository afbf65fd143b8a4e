"""Device clock: a camera's time as an interval of the computer's monotonic time."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DRIFT_PPM", "DeviceClock"]

DRIFT_PPM = 100  # two quartz clocks part by less
_STEP_NS = 10**9  # frames may overtake each other, but not by this much: the camera's clock was set back
_LONGEST_TRANSFER_NS = 10 * 10**9  # a clock reading that makes transfer longer is of another clock


@dataclass(frozen=True, kw_only=True)
class _Bound:
    """A bound of the offset, as it was at one moment of the camera's clock."""

    device_ns: int
    offset_ns: int

    def slack_ns(self, device_ns: int) -> int:
        """Return the drift of both clocks that is possible since then."""
        return abs(device_ns - self.device_ns) * DRIFT_PPM // 10**6


class DeviceClock:
    """Keeps an interval for the offset of both clocks (monotonic time = offset + camera's time); pure.

    Transfer only ever delays a frame: no offset is above ``arrival − stamp``. A frame is exposed after the
    trigger that caused it: none is below ``trigger sent − stamp``. A reading of the camera's clock between
    two looks at the computer's bounds it from both sides. Bounds loosen with age by the drift of clocks;
    what contradicts them is a clock that was set, and the interval begins anew.
    """

    def __init__(self) -> None:
        self._upper: _Bound | None = None
        self._lower: _Bound | None = None
        self._newest_ns = 0

    def arrived(self, device_ns: int, arrived_ns: int) -> None:
        """Take the arrival of a frame stamped ``device_ns`` at ``arrived_ns`` (monotonic)."""
        if self._upper is not None and device_ns < self._newest_ns - _STEP_NS:
            self._upper = self._lower = None
        self._newest_ns = max(device_ns, self._newest_ns) if self._upper is not None else device_ns
        offset_ns = arrived_ns - device_ns
        lowest_ns = self._lowest_ns(device_ns)
        if lowest_ns is not None and offset_ns < lowest_ns:
            self._lower = None  # it would have arrived before it was exposed
        if self._upper is None or offset_ns <= self._highest_ns(device_ns):
            self._upper = _Bound(device_ns=device_ns, offset_ns=offset_ns)

    def triggered(self, device_ns: int, sent_ns: int) -> None:
        """Take the fact that the frame stamped ``device_ns`` was exposed after ``sent_ns`` (monotonic)."""
        offset_ns = sent_ns - device_ns
        lowest_ns = self._lowest_ns(device_ns)
        if lowest_ns is None or offset_ns >= lowest_ns:
            self._lower = _Bound(device_ns=device_ns, offset_ns=offset_ns)
        if self._upper is not None and offset_ns > self._highest_ns(device_ns):
            self._upper = None

    def read(self, device_ns: int, before_ns: int, after_ns: int) -> bool:
        """Take a reading ``device_ns`` of the camera's clock between two readings of the computer's.

        Returns:
            Whether that can be the clock of the frames.
        """
        if self._upper is not None:
            transfer_ns = self._upper.offset_ns - (after_ns - device_ns)
            if abs(transfer_ns) > _LONGEST_TRANSFER_NS:
                return False
        low_ns, high_ns = before_ns - device_ns, after_ns - device_ns
        lowest_ns = self._lowest_ns(device_ns)
        highest_ns = self._highest_ns(device_ns) if self._upper is not None else high_ns
        if low_ns > highest_ns or (lowest_ns is not None and high_ns < lowest_ns):  # it was set
            self._upper = self._lower = None
            lowest_ns, highest_ns = None, high_ns
        if lowest_ns is None or low_ns >= lowest_ns:
            self._lower = _Bound(device_ns=device_ns, offset_ns=low_ns)
        if self._upper is None or high_ns <= highest_ns:
            self._upper = _Bound(device_ns=device_ns, offset_ns=high_ns)
        self._newest_ns = device_ns
        return True

    def exposed_ns(self, device_ns: int) -> tuple[int | None, int | None]:
        """The earliest and the latest moment (monotonic) that the stamp may mean; None where not known."""
        lowest_ns = self._lowest_ns(device_ns)
        latest_ns = None if self._upper is None else device_ns + self._highest_ns(device_ns)
        return (None if lowest_ns is None else device_ns + lowest_ns), latest_ns

    def captured_ns(self, device_ns: int, arrived_ns: int) -> int:
        """The stamp of a frame that arrived: the earliest moment it may mean, else the latest.

        Never after its arrival.
        """
        self.arrived(device_ns, arrived_ns)
        earliest_ns, latest_ns = self.exposed_ns(device_ns)
        return min(arrived_ns, next(ns for ns in (earliest_ns, latest_ns) if ns is not None))

    def unsure_ns(self, device_ns: int) -> int | None:
        """Return the distance that an exposure may have from ``captured_ns``; None without a lower bound."""
        earliest_ns, latest_ns = self.exposed_ns(device_ns)
        return None if earliest_ns is None or latest_ns is None else max(0, latest_ns - earliest_ns)

    def slack_ns(self, device_ns: int) -> int:
        """Return the drift that is possible since the earliest moment was last bounded."""
        return 0 if self._lower is None else self._lower.slack_ns(device_ns)

    def _lowest_ns(self, device_ns: int) -> int | None:
        return None if self._lower is None else self._lower.offset_ns - self._lower.slack_ns(device_ns)

    def _highest_ns(self, device_ns: int) -> int:
        assert self._upper is not None  # noqa: S101 - callers made sure
        return self._upper.offset_ns + self._upper.slack_ns(device_ns)
