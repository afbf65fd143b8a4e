"""Exposure times of frames, as intervals."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from edgeflow.cameras.camera import Frame

__all__ = ["Interval", "exposed", "moment"]


@dataclass(frozen=True, kw_only=True)
class Interval:
    """Two moments (monotonic, ns); minus infinity where nothing bounds the earliest one."""

    earliest_ns: float
    latest_ns: float

    @property
    def known(self) -> bool:
        """True if both ends are finite."""
        return math.isfinite(self.earliest_ns)

    def within(self, other: Interval, apart_ns: float) -> bool:
        """Return True when moments of both intervals can be so near to each other."""
        return (
            self.earliest_ns - apart_ns <= other.latest_ns and other.earliest_ns - apart_ns <= self.latest_ns
        )


def exposed(frame: Frame, transfer_ns: int | None) -> Interval:
    """Return the exposure of a frame.

    Args:
        transfer_ns: how long the quickest frame of a camera takes at most, where the box file says so; for
            cameras whose clock is not compared with the computer's.
    """
    stamp_ns = frame.captured_ns
    if frame.unsure_ns is not None:
        return Interval(earliest_ns=stamp_ns - frame.unsure_ns, latest_ns=stamp_ns + frame.unsure_ns)
    if frame.device_ns is None:
        return Interval(earliest_ns=stamp_ns, latest_ns=stamp_ns)
    return Interval(
        earliest_ns=-math.inf if transfer_ns is None else stamp_ns - transfer_ns, latest_ns=stamp_ns
    )


def moment(frames: Iterable[Frame], transfer_ns: int | None, max_skew_ns: int) -> Interval | None:
    """Return the trigger's time of frames of one moment; None without frames, or where they contradict."""
    intervals = [exposed(frame, transfer_ns) for frame in frames]
    if not intervals:
        return None
    earliest_ns = max(interval.earliest_ns for interval in intervals) - max_skew_ns
    latest_ns = min(interval.latest_ns for interval in intervals)
    if earliest_ns > latest_ns:
        return None
    return Interval(earliest_ns=earliest_ns, latest_ns=latest_ns)
