"""Shifts in the site's time zone, also on the days on which the clocks change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from edgeflow.errors import UsageError
from edgeflow.history.shifts import ShiftPlan, shift_intervals

BERLIN = ZoneInfo("Europe/Berlin")
THREE = {"early": "06:00", "late": "14:00", "night": "22:00"}
PLAN = ShiftPlan(zone=BERLIN, starts=THREE)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_a_night_belongs_to_the_day_on_which_it_starts() -> None:
    shift = PLAN.at(utc("2026-11-29T02:30"))
    assert (shift.name, shift.day, shift.label) == ("night", date(2026, 11, 28), "2026-11-28 night")
    assert (shift.start, shift.end) == (utc("2026-11-28T21:00"), utc("2026-11-29T05:00"))


@pytest.mark.parametrize(
    ("day", "hours"), [("2026-03-28T23:00", 7), ("2026-10-24T23:00", 9), ("2026-06-01T22:00", 8)]
)
def test_a_night_in_which_the_clocks_change_is_an_hour_shorter_or_longer(day: str, hours: int) -> None:
    shift = PLAN.at(utc(day))
    assert shift.name == "night"
    assert shift.end - shift.start == timedelta(hours=hours)


def test_a_start_that_the_clock_skips_comes_when_the_clock_has_gone_on() -> None:
    """At 02:00 the clock of 2026-03-29 goes on to 03:00, and 02:30 is never shown."""
    shifts = shift_intervals(
        {"a": "02:30", "b": "12:00"}, BERLIN, utc("2026-03-29T01:00"), utc("2026-03-29T12:00")
    )
    assert [(shift.name, shift.start) for shift in shifts] == [
        ("b", utc("2026-03-28T11:00")),
        ("a", utc("2026-03-29T01:30")),
        ("b", utc("2026-03-29T10:00")),
    ]


def test_a_start_that_the_clock_shows_twice_counts_the_first_time() -> None:
    shifts = shift_intervals({"a": "02:30"}, BERLIN, utc("2026-10-25T00:00"), utc("2026-10-25T05:00"))
    assert [shift.start for shift in shifts] == [utc("2026-10-24T00:30"), utc("2026-10-25T00:30")]


def test_shifts_of_a_year_follow_one_another_without_gap_or_overlap() -> None:
    shifts = PLAN.between(utc("2026-01-01"), utc("2026-12-31"))
    assert len(shifts) in (365 * 3 - 1, 365 * 3, 365 * 3 - 2)
    assert all(one.end == other.start for one, other in pairwise(shifts))
    assert shifts[0].start <= utc("2026-01-01") < shifts[0].end


def test_a_shift_that_the_box_file_lacks_is_refused_with_those_it_has() -> None:
    with pytest.raises(UsageError, match="no shift 'morning'; the box file has: early, late, night"):
        PLAN.require("morning")
