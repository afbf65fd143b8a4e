"""Copies of trigger messages, told from ids that are used again."""

from __future__ import annotations

import pytest

from edgeflow.capture.trigger_messages.memory import MessageMatch, TriggerMemory, Windows
from edgeflow.contracts.messages import TriggerMessage

SECOND = 1_000_000_000
WINDOWS = Windows(under_way_ns=SECOND, part_ns=2 * SECOND, doubt_ns=60 * SECOND)


class Memory:
    """The memory of a box that acts upon what is new and in doubt, with seconds for a clock."""

    def __init__(self, remembered: int = 100) -> None:
        self.of = TriggerMemory(remembered, WINDOWS)

    def offer(
        self,
        trigger_id: str,
        at_s: float,
        *,
        part: str | None = None,
        at: str | None = None,
        encoder: int | None = None,
    ) -> MessageMatch:
        message = TriggerMessage(trigger_id=trigger_id, part_id=part, encoder=encoder, at=at)
        known, _ = self.of.classify(message, round(at_s * SECOND))
        if known in ("new", "repeated"):
            self.of.add(message, round(at_s * SECOND))
        return known


def clock(seconds: float) -> str:
    return f"2026-11-28T12:{int(seconds) // 60:02d}:{seconds % 60:09.6f}Z"


def test_what_comes_again_while_its_part_is_under_way_is_a_copy() -> None:
    memory = Memory()
    assert memory.offer("1", 0) == "new"
    assert memory.offer("1", 0.999) == "copy"


def test_the_newest_id_that_comes_again_is_a_copy_for_a_minute() -> None:
    memory = Memory()
    memory.offer("1", 0)
    assert memory.offer("1", 59.9) == "copy"
    assert memory.offer("1", 60) == "new"


def test_an_old_id_is_in_doubt_until_three_came_in_their_old_order() -> None:
    memory = Memory()
    for n in range(5):
        memory.offer(str(n), n)
    assert [memory.offer(str(n), 10 + n) for n in range(5)] == ["repeated", "repeated", "new", "new", "new"]
    assert memory.of.ids_are_used_again
    assert [memory.offer(str(n), 20 + n) for n in range(5)] == ["new"] * 5


@pytest.mark.parametrize(
    ("ids", "gap_s"), [(range(5), 0.2), ((4, 3, 2, 1, 0), 1.0)], ids=["in a burst", "out of order"]
)
def test_old_ids_in_a_burst_or_out_of_order_stay_in_doubt(ids: list[int], gap_s: float) -> None:
    memory = Memory()
    for n in range(6):
        memory.offer(str(n), n)
    assert [memory.offer(str(n), 10 + k * gap_s) for k, n in enumerate(ids)] == ["repeated"] * 5
    assert not memory.of.ids_are_used_again


def test_old_ids_that_come_faster_than_before_are_known_after_the_time_of_one_part() -> None:
    memory = Memory()
    for n in range(8):
        memory.offer(str(n), 5 * n)
    assert [memory.offer(str(n), 50 + n / 3) for n in range(6)] == ["repeated"] * 3 + ["new"] * 3


def test_an_old_id_among_new_ones_does_not_show_that_ids_are_used_again() -> None:
    memory = Memory()
    for n in range(5):
        memory.offer(str(n), n)
    for n in range(5):
        assert memory.offer(str(n), 10 + 2 * n) == "repeated"
        assert memory.offer(f"new {n}", 11 + 2 * n) == "new"


def test_a_copy_in_doubt_is_told_once() -> None:
    memory = Memory()
    for n in range(5):
        memory.offer(str(n), n)
    assert [memory.offer("1", 10), memory.offer("1", 10.5), memory.offer("1", 10.9)] == [
        "repeated", "copy", "copy",
    ]  # fmt: skip


def test_a_message_with_the_same_time_is_a_copy_however_late() -> None:
    memory = Memory()
    for n in range(5):
        memory.offer(str(n), n, at=clock(n))
    assert memory.offer("2", 3600, at=clock(2)) == "copy"


def test_an_old_id_with_a_new_time_encoder_or_part_is_a_new_part() -> None:
    memory = Memory()
    memory.offer("1", 0, at=clock(0), encoder=10, part="a")
    memory.offer("2", 1, at=clock(1), encoder=20, part="b")
    assert memory.offer("1", 2, at=clock(2)) == "new"
    assert memory.offer("2", 3, encoder=21, part="b") == "new"
    assert memory.offer("2", 5, part="c") == "new"


def test_a_late_copy_is_one_although_its_id_is_used_for_another_part_by_now() -> None:
    memory = Memory()
    for n in range(4):
        memory.offer(str(n), n, at=clock(n))
    for n in range(4):
        assert memory.offer(str(n), 5 + n, at=clock(5 + n)) == "new"
    assert memory.offer("1", 30, at=clock(1)) == "copy"


def test_a_sender_that_stamps_its_repeats_anew_repeats_all_the_same_while_the_part_is_under_way() -> None:
    memory = Memory()
    memory.offer("1", 0, at=clock(0), encoder=10)
    assert memory.offer("1", 0.9, at=clock(0.9), encoder=12) == "copy"


def test_an_id_that_was_sent_a_second_later_is_a_new_part_although_both_messages_came_at_once() -> None:
    memory = Memory()
    assert memory.offer("1", 9, at=clock(0)) == "new"
    assert memory.offer("1", 9.001, at=clock(0.999)) == "copy"
    assert memory.offer("1", 9.002, at=clock(1)) == "new"


def test_a_clock_that_stands_still_tells_nothing() -> None:
    memory = Memory()
    for n in range(4):
        memory.offer(str(n), n, at=clock(0))
    assert memory.offer("0", 10, at=clock(0)) == "repeated"
    assert memory.offer("1", 100, at=clock(0)) == "new"


def test_an_encoder_where_it_was_tells_nothing_since_it_may_be_zeroed_at_every_start() -> None:
    memory = Memory()
    for n in range(5):
        memory.offer(str(n), n, encoder=n * 10)
    assert [memory.offer(str(n), 12 + n, encoder=n * 10) for n in range(4)] == [
        "repeated", "repeated", "new", "new",
    ]  # fmt: skip


def test_one_id_cannot_stand_for_two_parts_at_once() -> None:
    memory = Memory()
    memory.offer("1", 0, part="a")
    assert memory.offer("1", 0.5, part="b") == "decided"
    assert memory.offer("1", 1, part="b") == "new"


def test_another_trigger_for_a_part_is_none_as_long_as_its_decision_counts() -> None:
    memory = Memory()
    memory.offer("1", 0, part="a")
    assert memory.offer("2", 1.99, part="a") == "decided"
    assert memory.offer("3", 2, part="a") == "new", "the part comes round again"


def test_another_trigger_for_a_part_at_the_same_moment_is_none() -> None:
    memory = Memory()
    memory.offer("1", 0, part="a", at=clock(0))
    memory.offer("2", 1, part="b", at=clock(1))
    assert memory.offer("3", 30, part="a", at=clock(0)) == "decided"


def test_reset_forgets_all_but_what_is_under_way() -> None:
    memory = Memory()
    memory.offer("1", 0, part="a")
    memory.offer("2", 1.5, part="b")
    memory.of.reset(2 * SECOND)
    assert memory.offer("1", 2) == "new"
    assert memory.offer("2", 2.1) == "copy"


def test_what_is_remembered_is_bounded_and_says_since_when_it_is_complete() -> None:
    memory = Memory(remembered=10)
    for n in range(10):
        assert memory.of.complete_since_ns is None
        memory.offer(str(n), n, part=f"p{n}")
    assert memory.of.complete_since_ns == 0
    memory.offer("10", 10, part="p10")
    assert len(memory.of) == 20
    assert memory.of.complete_since_ns == SECOND
