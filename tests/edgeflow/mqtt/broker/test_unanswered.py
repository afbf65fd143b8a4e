"""The time that a broker has been silent, and its limit."""

from __future__ import annotations

import pytest

from edgeflow.mqtt.broker.unanswered import BrokerPace, Sent, Unanswered


def sent(key: str, at_s: float, *, decision: bool = False) -> Sent:
    return Sent(key=key, topic=key, size=10, sent_s=at_s, decision_id=key if decision else "")


def test_silence_counts_from_the_oldest_decision_and_ends_with_its_answer() -> None:
    waiting = Unanswered()
    waiting.add(1, sent("result", 10.0))
    assert waiting.decision_silence_s(20.0) == 0.0
    waiting.add(2, sent("d1", 11.0, decision=True))
    waiting.add(3, sent("d2", 12.0, decision=True))
    assert waiting.decision_silence_s(13.0) == 2.0
    taken = waiting.take(2, 13.0)
    assert taken is not None
    assert taken.key == "d1"
    assert waiting.decision_silence_s(13.5) == 0.5, "the broker has just spoken"
    waiting.take(3, 14.0)
    assert waiting.decision_silence_s(99.0) == 0.0


def test_a_broker_that_answers_slowly_but_steadily_is_not_silent() -> None:
    waiting = Unanswered()
    for number in range(8):
        waiting.add(number, sent(f"d{number}", 0.1 * number, decision=True))
    for number in range(7):
        waiting.take(number, 1.0 + 0.4 * number)
        assert waiting.decision_silence_s(1.3 + 0.4 * number) == pytest.approx(0.3)


def test_answers_to_what_was_sent_later_are_no_progress_for_a_decision() -> None:
    waiting = Unanswered()
    waiting.add(1, sent("d", 1.0, decision=True))
    for number in range(2, 9):
        waiting.add(number, sent("r", 1.0 + number))
        waiting.take(number, 1.5 + number)
    assert waiting.decision_silence_s(10.0) == 9.0


def test_what_was_sent_earlier_and_answered_is_progress() -> None:
    waiting = Unanswered()
    waiting.add(1, sent("r", 0.5))
    waiting.add(2, sent("d", 1.0, decision=True))
    waiting.take(1, 3.0)
    assert waiting.decision_silence_s(3.5) == 0.5


def test_silence_about_any_message_counts_too() -> None:
    waiting = Unanswered()
    assert waiting.silence_s(5.0) == 0.0
    waiting.add(1, sent("r", 1.0))
    waiting.add(2, sent("s", 2.0))
    assert waiting.silence_s(5.0) == 4.0
    waiting.take(1, 6.0)
    assert waiting.silence_s(6.5) == 0.5


def test_an_answer_that_is_faster_than_its_sender_is_not_lost() -> None:
    waiting = Unanswered()
    assert waiting.take(7, 1.0) is None
    waiting.add(7, sent("d", 1.0, decision=True))
    assert waiting.take(7, 1.1) is not None
    assert (len(waiting), waiting.answers) == (0, 1)


def test_patience_is_a_decisions_validity_and_longer_for_a_broker_that_is_always_slow() -> None:
    pace = BrokerPace()
    assert pace.patience_s(1.0) == 1.0
    for _ in range(40):
        pace.add(0.002)
    for age in range(15):  # one stall, just short of the validity
        pace.add(0.9 - 0.06 * age)
    assert pace.patience_s(1.0) == 1.0
    for _ in range(31):
        pace.add(1.5)
    assert pace.patience_s(1.0) == 3.0
    for _ in range(31):
        pace.add(100.0)
    assert pace.patience_s(1.0) == 30.0


def test_the_oldest_decisions_age_ends_with_its_answer() -> None:
    waiting = Unanswered()
    assert waiting.oldest_decision_age_s(5.0) == 0.0
    waiting.add(1, sent("r", 0.0))
    waiting.add(2, sent("d1", 1.0, decision=True))
    waiting.add(3, sent("d2", 2.0, decision=True))
    assert waiting.oldest_decision_age_s(5.0) == 4.0
    waiting.take(2, 5.0)
    assert waiting.oldest_decision_age_s(5.0) == 3.0
