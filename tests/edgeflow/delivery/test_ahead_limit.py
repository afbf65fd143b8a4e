"""The limit of what is sent ahead follows the consumer's speed."""

from __future__ import annotations

from edgeflow.delivery.ahead_limit import AheadLimit


def confirm(ahead: AheadLimit, delay_s: float, count: int) -> int:
    for _ in range(count):
        ahead.confirmed(delay_s)
    return ahead.limit


def test_who_never_confirms_gets_three_hundred_also_after_a_pause() -> None:
    ahead = AheadLimit()
    ahead.begin_anew()
    assert ahead.limit == 300


def test_after_a_pause_it_begins_with_few_and_doubles_with_each_round() -> None:
    ahead = AheadLimit()
    assert confirm(ahead, 0.2, 1) == 300
    ahead.begin_anew()
    assert ahead.limit == 30
    assert confirm(ahead, 0.2, ahead.limit) == 60
    assert confirm(ahead, 0.3, ahead.limit) == 120
    assert confirm(ahead, 0.3, 1000) == 300


def test_a_queue_at_the_consumer_makes_it_smaller() -> None:
    ahead = AheadLimit()
    confirm(ahead, 0.2, 10)
    assert confirm(ahead, 1.5, 100) == 300  # busy, and not too much
    assert confirm(ahead, 2.5, 100) == 200
    assert confirm(ahead, 5.0, 1000) == 30
    assert confirm(ahead, 0.3, 10) == 40


def test_a_consumer_that_collects_for_seconds_is_slow_by_choice_and_gets_as_many() -> None:
    ahead = AheadLimit()
    confirm(ahead, 10.0, 10)
    ahead.begin_anew()
    assert confirm(ahead, 10.3, 300) == 300


def test_a_consumer_that_confirms_a_hundred_at_once_gets_them_after_a_pause() -> None:
    ahead = AheadLimit()
    confirm(ahead, 0.2, 100)
    limits = []
    for _ in range(6):
        ahead.late()
        limits.append(ahead.limit)
    assert limits == [30, 60, 120, 240, 300, 300]


def test_the_quickest_confirmation_is_forgotten_in_time() -> None:
    ahead = AheadLimit()
    confirm(ahead, 0.001, 1)
    assert confirm(ahead, 3.0, 300) == 30
    assert confirm(ahead, 3.0, 20_000) == 300
