"""Work beside the line gives way while a part waits for its decision, and never for good."""

from __future__ import annotations

import threading

import pytest

from edgeflow.right_of_way import RightOfWay
from tests.support.waiting import PATIENCE_S


def test_work_waits_until_the_part_is_decided() -> None:
    right_of_way, order, waits = RightOfWay(), [], threading.Event()

    def work() -> None:
        waits.set()
        right_of_way.give_way(60)
        order.append("work")

    with right_of_way:
        thread = threading.Thread(target=work)
        thread.start()
        assert waits.wait(PATIENCE_S)
        order.append("decision")
    thread.join(PATIENCE_S)
    assert order == ["decision", "work"]


def test_nobody_waits_between_two_parts_or_after_one_that_failed() -> None:
    right_of_way = RightOfWay()
    right_of_way.give_way(60)
    with pytest.raises(KeyError), right_of_way:
        raise KeyError
    right_of_way.give_way(60)


def test_a_part_that_is_never_decided_holds_nobody_up() -> None:
    right_of_way = RightOfWay()
    with right_of_way:
        right_of_way.give_way(0.01)


def test_other_processes_stand_still_while_a_part_waits() -> None:
    told: list[str] = []

    class Work:
        def pause(self) -> None:
            told.append("pause")

        def resume(self) -> None:
            told.append("resume")

    right_of_way = RightOfWay()
    right_of_way.pause_for_parts(Work())
    with right_of_way:
        assert told == ["pause"]
    assert told == ["pause", "resume"]
