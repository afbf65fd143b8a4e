"""Distance in time between neighbouring parts' frames, compared with the tolerance that pairs frames."""

from __future__ import annotations

from edgeflow.alarms import AlarmHysteresis
from edgeflow.capture.view_set import ViewSet

__all__ = ["PartSpacing"]

_WELL_AFTER = 20  # parts in a row that can be told apart end the problem


class PartSpacing:
    """Compares the time between neighbouring parts' frames with the tolerance that pairs frames; pure.

    Where two parts' frames are within the tolerance, one lost frame is enough to mix them. ``problem``
    stands from the first such parts until 20 in a row are further apart.

    Args:
        setting: the tolerance's name in the box file.
    """

    def __init__(self, *, tolerance_ms: float, setting: str) -> None:
        self._tolerance_ms = tolerance_ms
        self._setting = setting
        self._last: tuple[int, int] | None = None  # stamps of the latest part, the first and the last
        self._too_close = AlarmHysteresis(_WELL_AFTER)

    @property
    def problem(self) -> str:
        """The first parts that were too close, and advice; empty while the distance is large enough."""
        return self._too_close.problem

    def settled(self, view_set: ViewSet) -> None:
        """Take a set; incomplete ones are ignored."""
        if view_set.missing or view_set.fault or not view_set.frames:
            return
        stamps = [frame.captured_ns for frame in view_set.frames.values()]
        before, self._last = self._last, (min(stamps), max(stamps))
        if before is None:
            return
        between_ms = (self._last[0] - before[1]) / 1e6
        if between_ms > self._tolerance_ms:
            self._too_close.good()
            return
        spread_ms = max(last - first for first, last in (before, self._last)) / 1e6
        self._too_close.bad(self._text(max(0.0, between_ms), spread_ms))

    def _text(self, between_ms: float, spread_ms: float) -> str:
        advice = f"lower it below {between_ms:.1f}"
        if spread_ms >= between_ms:
            advice = "no tolerance tells these apart: trigger the cameras together, or let parts come slower"
        return (
            f"frames of neighbouring parts were {between_ms:.1f} ms apart, those of one part "
            f"{spread_ms:.1f} ms: with {self._setting} {self._tolerance_ms:g}, two parts can be taken for "
            f"one where a frame is lost; {advice}"
        )
