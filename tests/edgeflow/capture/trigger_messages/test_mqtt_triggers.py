"""The ``trigger`` topic: what is acted upon, what is answered, and what a flood costs."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from edgeflow.alarms import Alarms
from edgeflow.capture.trigger_messages.mqtt_triggers import MqttTriggers
from edgeflow.capture.triggers import Trigger
from edgeflow.contracts.messages import Alarm
from edgeflow.mqtt.subscriptions import Incoming

SECOND = 1_000_000_000
MS = 1_000_000


class Told:
    """Records published alarms."""

    def __init__(self) -> None:
        self.alarms: list[tuple[str, Alarm | None]] = []

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        self.alarms.append((name, alarm))

    def texts(self, code: str) -> list[str]:
        return [alarm.text for name, alarm in self.alarms if name == code and alarm is not None]


class Box:
    """The topic of a box that runs."""

    def __init__(self) -> None:
        self.told = Told()
        self.alarms = Alarms("s", self.told)
        self.triggers = MqttTriggers(self.alarms)
        self.accepted: list[Trigger] = []
        self.refused: list[tuple[Trigger, str]] = []
        self.under_way = 0
        self.now_ns = 0
        self.triggers.start(
            self.accepted.append, lambda t, why: self.refused.append((t, why)), lambda: self.under_way
        )

    def send(self, after_ms: float = 400, *, retained: bool = False, **fields: Any) -> None:
        self.send_bytes(json.dumps(fields).encode(), after_ms, retained=retained)

    def send_bytes(self, payload: bytes, after_ms: float = 400, *, retained: bool = False) -> None:
        self.now_ns += round(after_ms * MS)
        self.triggers.handle(
            Incoming(
                topic="t/trigger",
                payload=payload,
                retained=retained,
                duplicate=False,
                received_ns=self.now_ns,
            )
        )

    @property
    def standing(self) -> set[str]:
        return {alarm.name for alarm in self.alarms.standing()}


def test_a_trigger_carries_the_lines_own_words() -> None:
    box = Box()
    box.send(trigger_id=7, part_id="p", order="A-1", lot=3)
    assert box.accepted == [
        Trigger(
            trigger_id="7", part_id="p", at_ns=box.now_ns, context={"order": "A-1", "lot": 3}, given_ns=None
        )
    ]
    assert box.told.alarms == []


def test_a_slip_in_a_key_is_an_alarm_and_the_part_is_inspected() -> None:
    box = Box()
    box.send(trigger_id="t1", partId="p1")
    assert [(t.part_id, t.context) for t in box.accepted] == [(None, None)]
    (text,) = box.told.texts("trigger_message")
    assert "'partId' is not used; write 'part_id'" in text


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"trigger_id": "t1", "part_id": "p1", "at": "yesterday"}, ("t1", "p1")),
        ({"trigger_id": "t1", "encoder": "far"}, ("t1", None)),
        ({"trigger_id": "t1", "schema": "edgeflow/trigger/2"}, ("t1", None)),
        ({"trigger_id": "t1", "part_id": ["p1"]}, ("t1", None)),
        ({"trigger_id": ["t1"], "part_id": "p1"}, ("p1", "p1")),
        ({"part_id": "p1"}, ("p1", "p1")),
    ],
)
def test_a_message_that_cannot_be_used_but_names_a_part_gets_exactly_one_decision(
    fields: dict[str, Any], names: tuple[str, str | None]
) -> None:
    box = Box()
    for _ in range(3):
        box.send(after_ms=10, **fields)
    assert [(t.trigger_id, t.part_id) for t, _ in box.refused] == [names]
    assert box.accepted == []
    assert box.triggers.counts == {"invalid": 3}
    assert "trigger message: 1 problem" in box.refused[0][1]
    assert box.refused[0][0].context is None
    assert "trigger_refused" in box.standing


def test_the_lines_own_words_come_back_with_a_message_that_cannot_be_used_too() -> None:
    box = Box()
    box.send(trigger_id="t1", at="yesterday", order="A-1")
    assert box.refused[0][0].context == {"order": "A-1"}


def test_a_message_that_cannot_be_used_gets_no_decision_where_its_part_has_one() -> None:
    box = Box()
    box.send(trigger_id="t1", part_id="p1")
    box.send(trigger_id="t1", part_id="p1", at="yesterday")
    box.send(trigger_id="t2", part_id="p1", at="yesterday")
    assert (len(box.accepted), box.refused) == (1, [])


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"7", b"null", b"{}", b'{"order": 1}', b"\xff" * 100])
def test_a_message_that_names_no_part_is_counted_and_told(payload: bytes) -> None:
    box = Box()
    box.send_bytes(payload)
    assert (box.accepted, box.refused) == ([], [])
    assert box.triggers.counts == {"invalid": 1}
    assert "trigger_refused" in box.standing


def test_a_message_that_is_too_large_to_be_read_is_counted_and_told() -> None:
    box = Box()
    too_large = Incoming(topic="t", payload=b"", retained=False, duplicate=False, received_ns=1, size=16_385)
    box.triggers.handle(too_large)
    assert box.triggers.counts == {"invalid": 1}
    assert "trigger_refused" in box.standing


def test_a_retained_message_gets_nothing_even_where_it_cannot_be_used() -> None:
    box = Box()
    box.send(retained=True, trigger_id="t1")
    box.send(retained=True, trigger_id="t2", at="yesterday")
    assert (box.accepted, box.refused) == ([], [])
    assert box.triggers.counts == {"retained": 2}


def test_ids_that_begin_anew_are_answered_and_an_alarm_tells_of_them() -> None:
    box = Box()
    for _ in range(2):
        for number in range(1, 6):
            box.send(trigger_id=str(number))
    answered = [t.trigger_id for t, _ in box.refused]
    assert answered == ["1", "2"]
    assert [t.trigger_id for t in box.accepted] == ["1", "2", "3", "4", "5", "3", "4", "5"]
    assert "trigger_repeated" in box.standing
    assert "ids that begin anew" in box.refused[0][1]


def test_reset_makes_the_box_forget_what_the_sender_counted() -> None:
    box = Box()
    for position in (5000, 5100):
        box.send(trigger_id=f"a{position}", encoder=position)
    box.triggers.reset()
    box.send(trigger_id="b", encoder=4000)
    assert len(box.accepted) == 3


def test_counts_by_reason_are_told_with_how_many_were_not_answered() -> None:
    box = Box()
    box.send(trigger_id="t1")
    box.send(trigger_id="t1", after_ms=1)
    box.send(retained=True, trigger_id="t2")
    assert box.triggers.status() == {"accepted": 1, "duplicate": 1, "retained": 1, "unanswered": 0}


def test_a_hundred_parts_under_way_are_too_many_and_at_two_hundred_nothing_is_answered() -> None:
    box = Box()
    box.under_way = 99
    box.send(trigger_id="t1")
    box.under_way = 100
    box.send(trigger_id="t2")
    box.under_way = 199
    box.send(trigger_id="t3")
    box.under_way = 200
    box.send(trigger_id="t4")
    assert [t.trigger_id for t in box.accepted] == ["t1"]
    assert [t.trigger_id for t, _ in box.refused] == ["t2", "t3"]
    assert box.triggers.status() == {"accepted": 1, "crowded": 3, "unanswered": 1}
    assert "trigger_flood" in box.standing


def test_a_message_that_was_not_answered_may_come_again() -> None:
    box = Box()
    box.under_way = 200
    box.send(trigger_id="t1")
    box.under_way = 0
    box.send(trigger_id="t1")
    assert [t.trigger_id for t in box.accepted] == ["t1"]


def test_a_flood_of_refused_messages_is_answered_fifty_times_and_then_five_times_a_second() -> None:
    box = Box()
    for number in range(2000):
        box.send(after_ms=1, trigger_id=f"t{number}", at="yesterday")
    assert 58 <= len(box.refused) <= 60
    assert box.triggers.status() == {"invalid": 2000, "unanswered": 2000 - len(box.refused)}


def test_a_flood_costs_few_log_lines_few_alarms_and_bounded_memory(caplog: pytest.LogCaptureFixture) -> None:
    box = Box()
    box.under_way = 200
    with caplog.at_level(logging.WARNING, logger="edgeflow.capture.trigger_messages.mqtt_triggers"):
        for number in range(5000):
            wrong = {"at": "never"} if number % 2 else {f"part{number}_id": 1}
            box.send(after_ms=1, trigger_id=f"t{number}", part_id=f"p{number}", order=[number], **wrong)
    lines = [
        record
        for record in caplog.records
        if record.name == "edgeflow.capture.trigger_messages.mqtt_triggers"
    ]
    assert 20 < len(lines) <= 20 + 5
    assert "more that were not logged" in caplog.text
    assert len(box.told.alarms) <= 4 * 6
    assert box.triggers._filter.remembered == 0


def test_a_hundred_accepted_triggers_end_the_alarms() -> None:
    box = Box()
    box.send(trigger_id="t", order=[1])
    box.send(trigger_id="x", at="yesterday")
    for number in range(99):
        box.send(trigger_id=str(number))
    assert box.standing == {"trigger_message", "trigger_refused"}
    box.send(trigger_id="99")
    assert box.standing == set()


def test_while_the_line_does_not_run_nothing_is_acted_upon() -> None:
    box = Box()
    box.triggers.stop()
    box.send(trigger_id="t1")
    box.send(trigger_id="t2", at="yesterday")
    assert (box.accepted, box.refused) == ([], [])
    assert box.triggers.counts == {"not_ready": 2}
