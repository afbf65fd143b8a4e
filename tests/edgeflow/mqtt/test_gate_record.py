"""A result says whether its decision reached the gate, as long as that is remembered."""

from __future__ import annotations

from edgeflow.mqtt.gate_record import GateRecord, with_gate_told


def test_a_decision_is_unknown_until_the_broker_answers() -> None:
    record = GateRecord()
    assert record.told("r-1") is None
    record.sent("r-1")
    assert record.told("r-1") is None
    record.answered("r-1", taken=True)
    record.sent("r-2")
    record.answered("r-2", taken=False)
    record.not_sent("r-3")
    assert [record.told(f"r-{n}") for n in (1, 2, 3)] == [True, False, False]
    assert (record.unsent, record.refused) == (1, 1)


def test_an_answer_that_comes_before_its_note_stands() -> None:
    record = GateRecord()
    record.answered("r-1", taken=True)
    record.sent("r-1")
    assert record.told("r-1") is True


def test_the_oldest_of_four_thousand_decisions_is_forgotten_first() -> None:
    record = GateRecord()
    for number in range(4000):
        record.not_sent(f"r-{number}")
    assert record.told("r-0") is False
    record.not_sent("r-4000")
    assert [record.told(f"r-{n}") for n in (0, 1, 4000)] == [None, False, False]
    assert record.unsent == 4001


def test_the_field_is_filled_in_once_and_only_where_it_was_not_known() -> None:
    payload = b'{"a":1,"gate_told":null,"b":",\\"gate_told\\":null,","gate_told":null,"c":2}'
    assert with_gate_told(payload, None) == payload
    assert with_gate_told(payload, True) == payload.replace(b"null", b"true", 1)
    assert with_gate_told(payload, False) == payload.replace(b"null", b"false", 1)
    known = b'{"a":1,"gate_told":false,"c":2}'
    assert with_gate_told(known, True) == known
