"""Decisions are sent while the broker is behind only if they can arrive; a stalled connection is ended."""

from __future__ import annotations

from edgeflow.contracts.topics import Topics
from edgeflow.mqtt.broker.limits import BrokerLimits
from edgeflow.mqtt.broker.unanswered import Sent, Unanswered
from edgeflow.mqtt.broker.watch import BrokerMonitor
from edgeflow.mqtt.connection import next_step
from edgeflow.mqtt.retained_documents import RetainedDocuments

TOPICS = Topics(root="edgeflow/v1/a/b/c")
LIMITS = BrokerLimits(in_flight=3)


class Line:
    """A watch over messages without a network, at a time that the test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.documents = RetainedDocuments(lambda *_: None)
        self.watch = BrokerMonitor(TOPICS, 1.0, self.documents, clock_s=lambda: self.now_s)
        self.number = 0
        self.connect()

    def connect(self) -> None:
        self.waiting = Unanswered()

    def send(self, topic: str, *, decision: bool = False) -> int:
        self.number += 1
        name = f"r-{self.number}" if decision else ""
        sent = Sent(key=topic, topic=topic, size=10, sent_s=self.now_s, decision_id=name)
        self.waiting.add(self.number, sent)
        if decision:
            self.watch.gate.sent(name)
        return self.number

    def answer(self, number: int, code: int = 0) -> None:
        sent = self.waiting.take(number, self.now_s)
        assert sent is not None
        self.watch.take(sent, code)

    @property
    def takes(self) -> bool:
        return self.watch.takes_decisions(self.waiting, LIMITS)

    def lose(self) -> bool:
        return self.watch.ended(self.waiting, stopping=False)[1]


def test_decisions_are_held_back_only_where_the_broker_is_full_and_behind() -> None:
    line = Line()
    first = line.send(TOPICS.decision, decision=True)
    for _ in range(2):
        line.send(TOPICS.result)
    line.now_s += 0.49
    assert line.takes, "full, and not behind"
    line.now_s += 0.02
    assert not line.takes, "full and behind"
    line.answer(first)
    assert line.takes, "room again"


def test_the_queue_is_bounded_however_quick_the_broker_was() -> None:
    line = Line()
    for _ in range(14):
        line.send(TOPICS.decision, decision=True)
    assert line.takes
    line.send(TOPICS.decision, decision=True)
    assert not line.takes


def test_a_decision_that_grows_old_unanswered_ends_the_connection_and_nobody_is_blamed() -> None:
    line = Line()
    line.send(TOPICS.decision, decision=True)
    line.now_s += 0.999
    assert line.watch.trouble(line.waiting) == ""
    line.now_s += 0.001
    assert "stalled" in line.watch.trouble(line.waiting)
    assert not line.lose()
    assert line.watch.gate.told("r-1") is None


def test_a_result_alone_may_wait_longer_but_not_for_ever() -> None:
    line = Line()
    line.send(TOPICS.result)
    line.now_s += 29.9
    assert line.watch.trouble(line.waiting) == ""
    line.now_s += 0.1
    assert "does not acknowledge a message" in line.watch.trouble(line.waiting)
    assert line.lose()


def test_a_broker_that_is_always_slow_is_waited_for() -> None:
    line = Line()
    for _ in range(31):
        number = line.send(TOPICS.state)
        line.now_s += 1.5
        line.answer(number)
    line.send(TOPICS.decision, decision=True)
    line.now_s += 2.9
    assert line.watch.trouble(line.waiting) == ""
    line.now_s += 0.1
    assert line.watch.trouble(line.waiting)


def test_decisions_that_end_connections_pause_and_are_tried_again() -> None:
    line = Line()
    for end in (1, 2):
        line.send(TOPICS.decision, decision=True)
        assert line.lose()
        assert line.takes is (end == 1)
        line.connect()
        line.answer(line.send(TOPICS.availability))
    assert any(text.startswith(f"{TOPICS.decision}: ") for text in line.watch.refusals.texts)
    line.now_s += 9.9
    assert not line.takes
    line.now_s += 0.1
    assert line.takes
    line.answer(line.send(TOPICS.decision, decision=True))
    assert line.watch.refusals.texts == ()


def test_every_answer_to_a_decision_is_counted() -> None:
    line = Line()
    for code, told in ((0, True), (0x10, False), (0x87, False), (0x97, False)):
        number = line.send(TOPICS.decision, decision=True)
        line.answer(number, code)
        assert line.watch.gate.told(f"r-{number}") is told
        assert bool(line.watch.refusals.texts) is not told
    assert line.watch.gate.refused == 3
    line.answer(line.send(TOPICS.decision, decision=True))
    assert line.watch.refusals.texts == ()


def test_a_message_that_is_too_large_blames_only_itself() -> None:
    line = Line()
    line.answer(line.send(TOPICS.result), 0x95)
    line.answer(line.send(TOPICS.dropped), 0x99)
    assert line.watch.refusals.texts == ()
    line.answer(line.send(TOPICS.state), 0x95)
    assert len(line.watch.refusals.texts) == 1


def test_answers_to_replies_are_the_askers_matter() -> None:
    line = Line()
    sent = Sent(key="reply", topic="elsewhere", size=1, sent_s=line.now_s)
    line.watch.take(sent, 0x87)
    assert line.watch.refusals.texts == ()


def test_limits_that_cost_something_are_told() -> None:
    line = Line()
    line.watch.heed(BrokerLimits(), ("a/+", "a/b"))
    assert line.watch.refusals.texts == ()
    line.watch.heed(BrokerLimits(wildcards=False, retain=False), ("a/+", "a/b"))
    assert [text.split(":")[0] for text in line.watch.refusals.texts] == [
        "a/+",
        f"{TOPICS.root}/retained messages",
    ]


def test_pauses_grow_for_connections_that_do_not_stand_and_end_with_one_that_does() -> None:
    step, steps = 0, []
    for end in ("never stood",) * 10 + ("short", "short", "long", "stalled", "stalled"):
        step = next_step(end, step)  # type: ignore[arg-type]
        steps.append(step)
    assert steps == [1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 4, 4, 0, 1, 2]
