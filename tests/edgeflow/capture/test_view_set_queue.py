"""View sets that wait for scoring are few and fresh; a burst to a waiting consumer is not too much."""

from __future__ import annotations

import threading
import time

import numpy as np

from edgeflow.cameras.camera import Frame
from edgeflow.capture.view_set import ViewSet
from edgeflow.capture.view_set_queue import OVERRUN, ViewSetQueue
from tests.support.waiting import PATIENCE_S

IMAGE = np.zeros((2, 2, 3), np.uint8)


def a_set(number: int) -> ViewSet:
    name = f"t{number}"
    frame = Frame(view="top", image=IMAGE, captured_ns=number, frame_id=number, trigger_id=name)
    return ViewSet(
        trigger_id=name, part_id=name, triggered_ns=number, frames={"top": frame}, missing=(), skew_ms=0.0
    )


def taken(ready: ViewSetQueue, count: int) -> list[tuple[str, str]]:
    sets = [ready.take() for _ in range(count)]
    return [(each.trigger_id, each.fault) for each in sets if each]


def test_of_too_many_the_oldest_lose_their_images_and_none_is_left_out() -> None:
    ready = ViewSetQueue(2)
    for number in range(4):
        ready.put(a_set(number))
    assert taken(ready, 4) == [("t0", OVERRUN), ("t1", OVERRUN), ("t2", ""), ("t3", "")]


def test_room_is_made_when_a_part_begins_so_that_none_waits_for_longer_than_two() -> None:
    ready = ViewSetQueue(2)
    ready.put(a_set(0))
    ready.put(a_set(1))
    ready.make_room()
    assert taken(ready, 2) == [("t0", OVERRUN), ("t1", "")]
    ready.put(a_set(2))
    ready.make_room()
    assert taken(ready, 1) == [("t2", "")]


def test_what_comes_at_once_to_a_consumer_that_waits_is_kept() -> None:
    """A part whose view never comes holds up those behind it; they are let go together."""
    ready = ViewSetQueue(2)
    found: list[tuple[str, str]] = []
    consumer = threading.Thread(target=lambda: found.extend(taken(ready, 5)))
    consumer.start()
    while not ready._idle:
        time.sleep(0.001)
    with ready._changed:  # it cannot run before all are there
        for number in range(5):
            ready.put(a_set(number))
    consumer.join(PATIENCE_S)
    assert found == [(f"t{number}", "") for number in range(5)]


def test_waiting_for_a_set_ends_in_time_with_the_set_or_with_the_end() -> None:
    ready = ViewSetQueue(2)
    assert not ready.wait(0.01)
    ready.put(a_set(0))
    assert ready.wait(0.0)
    assert taken(ready, 1) == [("t0", "")]
    assert not ready.wait(0.0)
    ready.finish(None)
    assert ready.wait(0.0)
    assert ready.take() is None


def test_who_waits_in_turns_is_not_too_slow_for_what_comes_at_once() -> None:
    ready = ViewSetQueue(2)
    assert not ready.wait(0.01)
    for number in range(4):
        ready.put(a_set(number))
    assert taken(ready, 4) == [(f"t{number}", "") for number in range(4)]
