"""A record that is sent says which copy of it this is, whoever stored it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeflow.contracts.messages import Dropped, Message, Result, from_json, to_json
from edgeflow.delivery.payload import mark_replayed
from edgeflow.mqtt.gate_record import with_gate_told

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"
RESULT = from_json(Result, SAMPLE.read_bytes()).model_copy(update={"replayed": False, "attempt": 1})
AT = "2026-11-24T12:00:00.000000Z"
DROPPED = Dropped.model_validate(
    {"record_id": "d", "from": "a", "to": "b", "count": 2, "why": "no room", "at": AT}
)


@pytest.mark.parametrize("message", [RESULT, DROPPED])
def test_a_copy_is_the_record_with_its_own_flags(message: Message) -> None:
    payload = to_json(message)
    sent = mark_replayed(payload, json.loads(payload), replayed=True, attempt=3)
    assert sent == to_json(message.model_copy(update={"replayed": True, "attempt": 3}))


def test_the_first_copy_is_what_was_stored() -> None:
    payload = to_json(RESULT)
    assert mark_replayed(payload, json.loads(payload), replayed=False, attempt=1) == payload


def test_a_record_with_its_fields_in_another_order_is_flagged_too() -> None:
    payload = json.dumps({"attempt": 1, "replayed": False, "reason": "größer"}).encode()
    sent = json.loads(mark_replayed(payload, json.loads(payload), replayed=True, attempt=2))
    assert sent == {"attempt": 2, "replayed": True, "reason": "größer"}


def test_what_is_known_of_the_decision_is_said_where_nothing_was_known() -> None:
    tricky = b'{"reason":"\\",\\"gate_told\\":null,\\"evidence\\":","gate_told":null,"evidence":null,'
    stored = tricky + b'"replayed":false,"attempt":1}'
    told = json.loads(with_gate_told(stored, True))
    assert told == json.loads(stored) | {"gate_told": True}
    assert json.loads(with_gate_told(stored, False))["gate_told"] is False
    assert with_gate_told(stored, None) == stored
    already = stored.replace(b'"gate_told":null,"evidence"', b'"gate_told":false,"evidence"')
    assert with_gate_told(already, True) == already
    assert with_gate_told(b'{"attempt":1}', True) == b'{"attempt":1}'


def test_a_result_as_it_is_stored_has_room_for_what_is_known_later() -> None:
    sample = from_json(Result, SAMPLE.read_bytes()).model_copy(update={"gate_told": None})
    assert from_json(Result, with_gate_told(to_json(sample), False)).gate_told is False
