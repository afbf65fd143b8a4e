"""A result is sent again after a delay, and at last no longer holds up those behind it."""

from __future__ import annotations

from edgeflow.delivery.in_flight import InFlight


def test_one_that_is_sent_again_and_again_is_overtaken() -> None:
    sent = InFlight(row_id=1)
    assert [setattr(sent, "attempts", n) or sent.is_overtaken for n in range(6)] == [False] * 4 + [True] * 2
    sent.awaits_broker = True
    assert not sent.is_overtaken


def test_whoever_waits_with_all_others_waits_no_longer_than_they() -> None:
    sent = InFlight(row_id=1, attempts=9, confirmed=5)
    sent.note_attempt(5)
    sent.note_attempt(5)
    assert sent.retry_delay_s(1.0) == 1.0
    sent.note_attempt(6)  # the consumer has come back, and this one is among the last
    assert sent.retry_delay_s(1.0) == 1.0


def test_one_that_is_passed_over_again_and_again_is_tried_more_and_more_rarely() -> None:
    sent = InFlight(row_id=1)
    waits = []
    for confirmed in range(12):
        sent.note_attempt(confirmed)
        sent.attempts += 1
        waits.append(sent.retry_delay_s(1.0))
    assert waits == [1.0, 1.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0, 60.0, 60.0, 60.0]
    assert sent.retry_delay_s(100.0) == 100.0


def test_the_first_sending_passes_nobody_over() -> None:
    sent = InFlight(row_id=1)
    sent.note_attempt(1000)
    assert sent.passed_over == 0


def test_refusals_lengthen_the_pause_too() -> None:
    waits = [InFlight(row_id=1, refused=n).retry_delay_s(1.0) for n in range(8)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
