"""The estimated scoring time, which recovers from a stall, and the alarm on decisions after the deadline."""

from __future__ import annotations

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.decision.deadline import DeadlineMonitor, ScoringTime

MS = 1_000_000


class Panel:
    """Records published alarms, in order."""

    def __init__(self) -> None:
        self.told: list[tuple[str, bool]] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.told.append((name, alarm is not None))


def test_few_times_say_nothing() -> None:
    scoring_time = ScoringTime()
    for _ in range(19):
        scoring_time.add(30 * MS)
    assert scoring_time.p99_ns() is None
    scoring_time.add(30 * MS)
    assert scoring_time.p99_ns() == 30 * MS


def test_one_outlier_of_a_hundred_does_not_count_and_the_second_does() -> None:
    scoring_time = ScoringTime()
    for _ in range(99):
        scoring_time.add(30 * MS)
    scoring_time.add(900 * MS)
    assert scoring_time.p99_ns() == 30 * MS
    scoring_time.add(900 * MS)
    assert scoring_time.p99_ns() == 900 * MS


def test_only_the_latest_parts_count() -> None:
    scoring_time = ScoringTime()
    for _ in range(200):
        scoring_time.add(900 * MS)
    for _ in range(200):
        scoring_time.add(30 * MS)
    assert scoring_time.p99_ns() == 30 * MS


def test_after_a_stall_parts_are_soon_scored_again() -> None:
    scoring_time = ScoringTime()
    for duration_ms in [30] * 100 + [900] * 5:
        scoring_time.add(duration_ms * MS)
    given_up = 0
    while (p99 := scoring_time.p99_ns()) is not None and p99 > 100 * MS:
        scoring_time.skipped()
        given_up += 1
    assert given_up == 4


def test_where_scoring_is_always_too_slow_parts_are_tried_now_and_then() -> None:
    scoring_time = ScoringTime()
    for _ in range(200):
        scoring_time.add(900 * MS)
    while scoring_time.p99_ns() is not None:
        scoring_time.skipped()
    scoring_time.add(900 * MS)
    assert scoring_time.p99_ns() == 900 * MS


def test_an_alarm_stands_from_the_first_late_decision_until_fifty_in_time() -> None:
    panel = Panel()
    watch = DeadlineMonitor(Alarms("s", panel))
    for late in [False, True, True] + [False] * 49:
        watch.note(late=late, deadline_ms=250)
    assert (watch.late, panel.told) == (2, [("late_decisions", True)])
    watch.note(late=False, deadline_ms=250)
    assert panel.told == [("late_decisions", True), ("late_decisions", False)]


def test_it_counts_where_nobody_is_told() -> None:
    watch = DeadlineMonitor()
    watch.note(late=True, deadline_ms=250)
    assert watch.late == 1
