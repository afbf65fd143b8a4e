"""What is known of the scoring time decides which parts are given up, and it recovers from a stall."""

from __future__ import annotations

from edgeflow.decision.deadline import ScoringTime

MS = 1_000_000


def test_few_times_say_nothing() -> None:
    pace = ScoringTime()
    for _ in range(19):
        pace.add(30 * MS)
    assert pace.p99_ns() is None
    pace.add(30 * MS)
    assert pace.p99_ns() == 30 * MS


def test_one_outlier_of_a_hundred_does_not_count_and_the_second_does() -> None:
    pace = ScoringTime()
    for _ in range(99):
        pace.add(30 * MS)
    pace.add(900 * MS)
    assert pace.p99_ns() == 30 * MS
    pace.add(900 * MS)
    assert pace.p99_ns() == 900 * MS


def test_only_the_latest_parts_count() -> None:
    pace = ScoringTime()
    for _ in range(200):
        pace.add(900 * MS)
    for _ in range(200):
        pace.add(30 * MS)
    assert pace.p99_ns() == 30 * MS


def test_after_a_stall_parts_are_soon_scored_again() -> None:
    pace = ScoringTime()
    for duration_ms in [30] * 100 + [900] * 5:
        pace.add(duration_ms * MS)
    given_up = 0
    while (p99 := pace.p99_ns()) is not None and p99 > 100 * MS:
        pace.given_up()
        given_up += 1
    assert given_up == 4


def test_where_scoring_is_always_too_slow_parts_are_tried_now_and_then() -> None:
    pace = ScoringTime()
    for _ in range(200):
        pace.add(900 * MS)
    while pace.p99_ns() is not None:
        pace.given_up()
    pace.add(900 * MS)
    assert pace.p99_ns() == 900 * MS
