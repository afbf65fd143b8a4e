"""The order of parts by an encoder: whatever it does, the line goes on, and an overtaken message is found."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.capture.trigger_messages.encoder_order import EncoderOrder

MS = 1_000_000
PACE = 400


def follows(positions: list[int], pace_ms: int = PACE) -> list[bool]:
    """True for each position that follows, coming at the line's pace."""
    order = EncoderOrder()
    return [order.follows(p, n * pace_ms * MS, sent_later=False) for n, p in enumerate(positions)]


def test_positions_that_grow_follow_each_other_and_a_line_may_stand_still() -> None:
    assert all(follows([0, 100, 100, 200, 290, 10_000]))


def test_a_message_that_was_overtaken_does_not_follow_and_the_next_one_does() -> None:
    assert follows([100, 300, 200, 400]) == [True, True, False, True]


def test_two_overtaken_messages_come_in_a_burst_and_do_not_follow() -> None:
    order = EncoderOrder()
    for position, at_ms in ((100, 0), (200, 400), (500, 1600)):
        assert order.follows(position, at_ms * MS, sent_later=False)
    assert not order.follows(300, 1602 * MS, sent_later=False)
    assert not order.follows(400, 1604 * MS, sent_later=False)
    assert order.follows(600, 2000 * MS, sent_later=False)


@pytest.mark.parametrize(
    "positions",
    [
        [4294966000, 4294966500, 4294967200, 10, 600, 1200, 1800],
        [*range(2**31 - 300, 2**31, 100), *range(-(2**31), -(2**31) + 900, 100)],
        [*range(5000, 6000, 100), *range(0, 900, 100)],
        [*range(0, -900, -100), *range(9000, 8000, -100)],
    ],
)
def test_an_encoder_that_wraps_or_is_zeroed_goes_on_at_once(positions: list[int]) -> None:
    assert sum(not good for good in follows(positions)) <= 1
    assert all(follows(positions)[3:]) or positions[1] < positions[0]


def test_one_wild_value_costs_nothing_but_itself() -> None:
    assert follows([100, 200, 2**62, 300, 400, 500]) == [True] * 6


def test_an_encoder_zeroed_near_its_beginning_costs_one_part() -> None:
    assert follows([0, 100, 200, 300, 0, 100, 200, 300, 400]) == [True] * 4 + [False] + [True] * 4


def test_an_encoder_that_falls_at_every_turn_costs_one_part_once() -> None:
    turns = [position for _ in range(6) for position in range(1000, 2000, 100)]
    assert follows(turns).count(False) == 1
    assert follows([position for _ in range(6) for position in range(7000, 7400, 100)]).count(False) == 1


@pytest.mark.parametrize(("position", "good"), [(950, True), (1050, True), (949, False), (1051, False)])
def test_a_fall_is_known_again_within_half_a_step(position: int, good: bool) -> None:
    turn = list(range(1000, 2000, 100))
    assert follows([*turn, *turn, position])[-1] is good


def test_a_fall_by_one_or_two_parts_is_never_known_again() -> None:
    """The line ran back by two steps once; a message that two parts overtook is found all the same."""
    positions = [0, 100, 200, 300, 100, 200, 300, 400, 500, 600, 400, 700]
    assert follows(positions) == [True] * 4 + [False] + [True] * 5 + [False, True]


def test_each_overtaken_message_is_in_doubt_for_itself() -> None:
    assert follows([100, 300, 200, 400, 600, 500, 700]) == [True, True, False, True, True, False, True]


def test_an_epoch_is_measured_by_its_own_steps() -> None:
    assert follows([100_000, 100_100, 100_200, 0, 100, 200, -50_000, -49_900]) == [True] * 8


def test_while_the_pace_is_not_known_twenty_milliseconds_are_no_burst() -> None:
    for gap_ms, good in ((19.99, False), (20, True)):
        order = EncoderOrder()
        order.follows(1000, 0, sent_later=False)
        order.follows(0, 400 * MS, sent_later=False)
        assert order.follows(100, round((400 + gap_ms) * MS), sent_later=False) is good


def test_a_second_is_no_burst_however_slow_the_line_was() -> None:
    for gap_ms, good in ((999, False), (1000, True)):
        order = EncoderOrder()
        for n in range(4):
            order.follows(100 * n, n * 10_000 * MS, sent_later=False)
        order.follows(0, 40_000 * MS, sent_later=False)
        assert order.follows(100, (40_000 + gap_ms) * MS, sent_later=False) is good


def test_a_line_that_runs_backwards_is_followed() -> None:
    assert follows(list(range(1000, 0, -100))) == [True, False] + [True] * 8


def test_what_was_sent_later_by_the_senders_clock_follows_in_any_case() -> None:
    order = EncoderOrder()
    order.follows(500, 0, sent_later=False)
    order.follows(600, 400 * MS, sent_later=True)
    assert order.follows(550, 800 * MS, sent_later=True)
    assert order.follows(560, 1200 * MS, sent_later=False)


def test_twenty_longest_steps_behind_may_be_overtaken_and_one_more_is_a_new_epoch() -> None:
    def after(position: int) -> bool:
        order = EncoderOrder()
        for n, p in enumerate((10_000, 10_010, 10_110)):
            order.follows(p, n * PACE * MS, sent_later=False)
        return order.follows(position, 3 * PACE * MS, sent_later=False)

    assert not after(10_110 - 2000)
    assert after(10_110 - 2001)


def test_the_second_of_two_in_doubt_must_come_half_the_usual_time_later() -> None:
    def second(gap_ms: float) -> bool:
        order = EncoderOrder()
        for n, p in enumerate((1000, 1100, 1200, 1300)):
            order.follows(p, n * PACE * MS, sent_later=False)
        assert not order.follows(900, 2000 * MS, sent_later=False)
        return order.follows(1000, round((2000 + gap_ms) * MS), sent_later=False)

    assert not second(199)
    assert second(200)


def test_a_line_that_runs_faster_after_its_encoder_was_zeroed_goes_on_too() -> None:
    order = EncoderOrder()
    for n in range(4):
        order.follows(100 * n, n * 1000 * MS, sent_later=False)
    times_ms = range(5000, 8000, 300)
    found = [order.follows(100 * n, at * MS, sent_later=False) for n, at in enumerate(times_ms)]
    assert found == [False, False, True] + [True] * 7


@given(
    epochs=st.lists(
        st.tuples(st.integers(-(2**63), 2**63 - 1), st.lists(st.integers(0, 50), min_size=1, max_size=20)),
        min_size=1,
        max_size=8,
    )
)
def test_whatever_an_encoder_does_at_most_one_part_in_each_epoch_is_in_doubt(
    epochs: list[tuple[int, list[int]]],
) -> None:
    positions: list[int] = []
    for start, steps in epochs:
        positions.append(start)
        for step in steps:
            positions.append(positions[-1] + step)
    doubted = follows(positions).count(False)
    assert doubted <= len(epochs)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=60))
def test_the_line_never_locks_on_positions_without_any_sense(positions: list[int]) -> None:
    result = follows(positions)
    assert not any(not one and not next_ for one, next_ in pairwise(result))


def test_an_encoder_that_stops_behind_its_last_position_costs_one_part() -> None:
    assert follows([800, 900, 1000, 850, 850, 850, 950, 1050]) == [True] * 3 + [False] + [True] * 4
