"""Trigger messages as controllers write them: read where their meaning is sure, else refused in words."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.contracts.message_parts.context import context_bytes
from edgeflow.contracts.message_parts.trigger_fields import TRIGGER_KEYS, tidy_trigger, utc_form
from edgeflow.contracts.messages import TriggerMessage, from_json, shipped_schema, to_json
from edgeflow.errors import DataError


def read(text: str) -> TriggerMessage:
    return from_json(TriggerMessage, text.encode())


def problem(text: str) -> str:
    with pytest.raises(DataError) as caught:
        read(text)
    return "; ".join([caught.value.message, *caught.value.problems])


def notes(**fields: Any) -> tuple[str, ...]:
    return tidy_trigger({"trigger_id": "t", **fields}).notes


def context(**fields: Any) -> dict[str, Any]:
    carried: dict[str, Any] = tidy_trigger({"trigger_id": "t", **fields}).fields.get("context", {})
    return carried


@pytest.mark.parametrize("text", ["1", '"1"', "1.0", "1e0", '"1\\u0000\\u0000"'])
def test_a_number_and_its_text_are_one_id(text: str) -> None:
    message = read(f'{{"trigger_id": {text}, "part_id": {text}}}')
    assert (message.trigger_id, message.part_id) == ("1", "1")


@pytest.mark.parametrize(
    ("text", "name"),
    [("-7", "-7"), ("1.5", "1.5"), ("1e21", "1e+21"), ("12345678901234567890", "12345678901234567890")],
)
def test_other_numbers_are_ids_as_javascript_writes_them(text: str, name: str) -> None:
    assert read(f'{{"trigger_id": {text}}}').trigger_id == name


@pytest.mark.parametrize("text", ['""', '"\\u0000"', "null", "true", "[]", "{}", '"a\\nb"', f'"{"x" * 129}"'])
def test_an_id_that_is_none_is_refused_in_words(text: str) -> None:
    words = problem(f'{{"trigger_id": {text}}}')
    assert "trigger_id: " in words
    assert "expected a name of 1 to 128 characters" in words or "required key is missing" in words
    assert "^" not in words


def test_an_empty_part_id_is_none() -> None:
    assert read('{"trigger_id": "t", "part_id": "\\u0000\\u0000"}').part_id is None


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-28T13:00:00Z", "2026-11-28T13:00:00.0Z"),
        ("2026-11-28T14:00:01+01:00", "2026-11-28T13:00:01.0Z"),
        ("2026-11-28T00:30:00.25-02:30", "2026-11-28T03:00:00.25Z"),
        ("2026-11-28t13:00:00z", "2026-11-28T13:00:00.0Z"),
        ("2026-11-28 13:00:00.123456789123Z", "2026-11-28T13:00:00.123456789Z"),
        ("2027-01-01T00:59:60+01:00", "2027-01-01T00:00:00.0Z"),
        ("2026-11-28T13:00:00-00:00", "2026-11-28T13:00:00.0Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.0Z"),
    ],
)
def test_any_time_of_rfc_3339_is_read(text: str, utc: str) -> None:
    assert utc_form(text) == utc
    assert read(json.dumps({"trigger_id": "t", "at": text})).at == utc


@pytest.mark.parametrize(
    "text",
    [
        "yesterday", "2026-11-28", "2026-11-28T13:00:00", "2026-11-28T13:00Z", "2026-02-30T00:00:00Z",
        "2026-11-28T24:00:00Z", "2026-11-28T13:00:61Z", "2026-11-28T13:00:00+24:00",
        "2026-11-28T13:00:00+01:60", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00",
        "2026-11-28T13:00:00.Z", "２026-11-28T13:00:00Z",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused_in_words(text: str) -> None:
    assert utc_form(text) is None
    words = problem(json.dumps({"trigger_id": "t", "at": text}))
    assert "at: expected a time of RFC 3339 with Z or an offset, such as 2026-11-28T14:00:00+01:00" in words
    assert "\\d" not in words


def test_a_date_that_does_not_exist_is_refused_in_the_canonical_form_too() -> None:
    with pytest.raises(ValueError, match="there is no such date or time"):
        TriggerMessage(trigger_id="t", at="2026-02-30T00:00:00.0Z")


@pytest.mark.parametrize(
    ("given", "position"),
    [
        ("1200", 1200),
        ("1200.0", 1200),
        ("1200.6", 1201),
        ('" -12 "', -12),
        ('"7.2\\u0000"', 7),
        ("null", None),
    ],
)
def test_a_position_may_be_a_fraction_or_text(given: str, position: int | None) -> None:
    assert read(f'{{"trigger_id": "t", "encoder": {given}}}').encoder == position


@pytest.mark.parametrize("given", [10**300, 1e300, -(2**63), 2**63])
def test_a_position_beyond_64_bits_is_not_used_and_the_trigger_counts(given: float) -> None:
    tidy = tidy_trigger({"trigger_id": "t", "encoder": given})
    assert "encoder" not in tidy.fields
    assert tidy.notes == ("'encoder' is beyond 64 bits: the trigger counts, its position does not",)
    assert tidy_trigger({"trigger_id": "t", "encoder": 2**63 - 1}).fields["encoder"] == 2**63 - 1


@pytest.mark.parametrize("given", ['"far"', "true", "[1]", "{}", '"1e3"'])
def test_a_position_that_is_none_is_refused_in_words(given: str) -> None:
    assert "encoder: expected a whole number" in problem(f'{{"trigger_id": "t", "encoder": {given}}}')


def test_nuls_after_the_message_are_no_part_of_it() -> None:
    assert from_json(TriggerMessage, b'{"trigger_id": "t"}' + bytes(200)).trigger_id == "t"


def test_half_a_character_in_an_id_is_refused() -> None:
    assert "trigger message" in problem('{"trigger_id": "\\ud800"}')


def test_unknown_keys_become_the_context() -> None:
    message = read(
        '{"trigger_id": 1, "order": "A-7", "lot": 12, "weight": 1.5, "rework": false, "shift": null}'
    )
    assert message.context == {"order": "A-7", "lot": 12, "weight": 1.5, "rework": False}


def test_a_context_may_be_given_as_one_too() -> None:
    assert context(order=1, context={"lot": 2}) == {"order": 1, "lot": 2}
    assert notes(context="a") == ()
    assert context(context="a") == {"context": "a"}


@pytest.mark.parametrize("value", [[1], {"a": 1}, float("nan"), float("inf"), "\ud800"])
def test_what_is_no_single_value_is_not_carried_and_told(value: object) -> None:
    assert context(order=value, lot=1) == {"lot": 1}
    assert notes(order=value) == ("'order' is not carried: only text, numbers, true and false are",)


def test_integers_that_other_languages_round_are_carried_as_text() -> None:
    assert context(lot=2**53 - 1, run=2**53, box=-(2**53)) == {
        "lot": 2**53 - 1, "run": "9007199254740992", "box": "-9007199254740992",
    }  # fmt: skip


def test_nine_values_are_one_too_many() -> None:
    many = {f"key{n}": n for n in range(9)}
    assert context(**many) == {f"key{n}": n for n in range(8)}
    assert notes(**many) == ("'key8': left out, at most 8 values and 512 bytes are carried",)


def test_512_bytes_are_carried_and_one_more_is_not() -> None:
    assert context_bytes(context(k="x" * 504)) == 512
    assert context(k="x" * 505) == {}
    assert context(k="ü" * 252, m=1) == {"k": "ü" * 252}, "bytes count, not letters"
    assert notes(k="x" * 505) == ("'k': left out, at most 8 values and 512 bytes are carried",)


SLIPS = [
    ("Trigger_ID", "trigger_id"), ("partid", "part_id"), ("part id", "part_id"), ("PartId", "part_id"),
    ("part-id", "part_id"), ("prat_id", "part_id"), ("part_idd", "part_id"), ("art_id", "part_id"),
    ("part_ld", "part_id"), ("encode", "encoder"), ("Encoder", "encoder"), ("encoders", "encoder"),
    ("AT", "at"), ("a t", "at"), ("att", "at"), ("a", "at"), ("shema", "schema"), ("_at_", "at"),
    ("at\0", "at"), ("trigger__id", "trigger_id"), ("triggerld", "trigger_id"), ("ta", "at"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "meant"), SLIPS)
def test_a_slip_of_a_known_key_is_told_and_is_no_context(key: str, meant: str) -> None:
    assert context(**{key: "x"}) == {}
    assert context(context={key: "x"}) == {}
    (note,) = notes(**{key: "x"})
    assert note.endswith(f"is not used; write '{meant}' if that is meant")


@pytest.mark.parametrize("key", ["order", "lot", "part_name", "id", "encoding", "trigger", "batch", "rate"])
def test_other_keys_are_no_slips(key: str) -> None:
    assert context(**{key: "v"}) == {key: "v"}
    assert notes(**{key: "v"}) == ()


def test_a_note_shows_nothing_that_steers_a_terminal() -> None:
    (note,) = notes(**{"\x1b[2Jorder\n": [1]})
    assert note.isprintable()


@given(
    st.dictionaries(
        st.one_of(st.sampled_from([*TRIGGER_KEYS, "context", "order", "lot"]), st.text(max_size=140)),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300)),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=12)
            ),
            max_leaves=12,
        ),
        max_size=14,
    )
)
def test_whatever_is_sent_is_read_or_refused_and_what_is_carried_fits(data: dict[str, Any]) -> None:
    fields = tidy_trigger(data).fields
    carried = fields.get("context", {})
    assert len(carried) <= 8
    assert not carried or context_bytes(carried) <= 512
    try:
        message = from_json(TriggerMessage, json.dumps(data).encode())
    except DataError:
        return
    again = from_json(TriggerMessage, to_json(message))
    assert again == message
    jsonschema.Draft202012Validator(shipped_schema("trigger")).validate(json.loads(to_json(message)))
