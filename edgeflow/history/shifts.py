"""Shifts as intervals of UTC, in the site's time zone; pure, and right on the days the clocks change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from edgeflow.errors import UsageError

__all__ = ["DAYS_ALONE", "Shift", "ShiftPlan", "shift_intervals"]

_DAY = timedelta(days=1)
DAYS_ALONE: Mapping[str, str] = {"day": "00:00"}
"""The plan of a box file without shifts: one a day."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One shift of one day.

    Attributes:
        day: local date on which it starts.
        start, end: aware, UTC; the end belongs to the next shift.
    """

    name: str
    day: date
    start: datetime
    end: datetime

    @property
    def label(self) -> str:
        """Day and name for people."""
        return f"{self.day:%Y-%m-%d} {self.name}"


@dataclass(frozen=True, kw_only=True)
class ShiftPlan:
    """Starts of the shifts of every day, in the time zone of the site.

    Attributes:
        starts: name → local time of day as ``HH:MM``.
    """

    zone: ZoneInfo
    starts: Mapping[str, str]

    def between(self, first: datetime, last: datetime) -> list[Shift]:
        """Return the shifts that overlap a time, in order.

        Args:
            first, last: aware.
        """
        return shift_intervals(self.starts, self.zone, first, last)

    def at(self, moment: datetime) -> Shift:
        """Return the shift that an aware moment belongs to."""
        return self.between(moment, moment)[0]

    def require(self, name: str) -> None:
        """Check that there is a shift of this name.

        Raises:
            UsageError: names those that there are.
        """
        if name not in self.starts:
            raise UsageError(
                f"no shift '{name}'; the box file has: {', '.join(self.starts)} (section 'shifts')"
            )


def shift_intervals(
    starts: Mapping[str, str], zone: ZoneInfo, first: datetime, last: datetime
) -> list[Shift]:
    """Shifts that overlap the time from ``first`` to ``last``, both included; in order, without a gap.

    A start that the clock skips in spring is as late as the clock would have shown it; one that it shows
    twice in autumn counts once, the first time.
    """
    days = _days(first.astimezone(zone).date() - 2 * _DAY, last.astimezone(zone).date() + 2 * _DAY)
    begun = sorted((_utc(day, text, zone), name, day) for day in days for name, text in starts.items())
    shifts = [
        Shift(name=name, day=day, start=start, end=end)
        for (start, name, day), (end, _, _) in pairwise(begun)
        if end > start
    ]
    return [shift for shift in shifts if shift.end > first and shift.start <= last]


def _utc(day: date, text: str, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.fromisoformat(text), tzinfo=zone).astimezone(UTC)


def _days(first: date, last: date) -> Iterable[date]:
    for offset in range((last - first).days + 1):
        yield first + offset * _DAY
