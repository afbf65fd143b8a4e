"""The queue is bounded, keeps the order, and gives batches by number and time."""

from __future__ import annotations

import threading
import time

from edgeflow.collector.inbox import Inbox
from edgeflow.collector.records import Received


def note(number: int) -> Received:
    return Received(root="r", kind="result", payload=str(number).encode())


def test_a_batch_is_full_before_its_time_is_over() -> None:
    inbox = Inbox(10**6)
    for number in range(5):
        inbox.put(note(number))
    found = inbox.take(max_rows=3, max_s=60, timeout_s=0)
    assert [message.payload for message in found] == [b"0", b"1", b"2"]
    assert len(inbox) == 2


def test_a_batch_ends_when_its_oldest_message_has_waited() -> None:
    inbox = Inbox(10**6)
    inbox.put(note(1))
    time.sleep(0.05)
    assert len(inbox.take(max_rows=100, max_s=0.01, timeout_s=0)) == 1
    assert inbox.oldest_age_s == 0.0


def test_nothing_comes_where_nothing_came() -> None:
    assert Inbox(1000).take(max_rows=1, max_s=1, timeout_s=0.01) == []


def test_a_message_that_comes_later_ends_the_wait() -> None:
    inbox = Inbox(10**6)
    threading.Timer(0.05, lambda: inbox.put(note(1))).start()
    assert len(inbox.take(max_rows=1, max_s=1, timeout_s=30)) == 1


def test_what_does_not_fit_is_refused_and_counted() -> None:
    inbox = Inbox(1500)
    assert [inbox.put(note(number)) for number in range(4)] == [True, True, False, False]
    assert inbox.refused == 2
    inbox.take(max_rows=10, max_s=0, timeout_s=0)
    assert inbox.put(note(9))
