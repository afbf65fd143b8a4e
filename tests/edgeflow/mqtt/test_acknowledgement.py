"""A consumer's message confirms what can be read of it: one wrong entry holds up no other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.errors import DataError
from edgeflow.mqtt.acknowledgement import confirmed_ids


def ack(*result_ids: object, **more: object) -> bytes:
    return json.dumps({"schema": "edgeflow/ack/1", "result_ids": result_ids, **more}).encode()


def test_a_right_message_confirms_all_its_results_and_nothing_is_said() -> None:
    assert confirmed_ids(ack("r-1", "r-2")) == (("r-1", "r-2"), "")


@pytest.mark.parametrize("wrong", [7, None, ["r-9"], {"id": "r-9"}, "\ud800", True])
def test_a_wrong_entry_costs_itself_and_is_named(wrong: object) -> None:
    ids, problem = confirmed_ids(ack("r-1", wrong, "r-2"))
    assert ids == ("r-1", "r-2")
    assert problem


@pytest.mark.parametrize("count", [1000, 1001, 2500])
def test_more_results_at_once_than_the_schema_allows_are_confirmed_all_the_same(count: int) -> None:
    names = tuple(f"r-{n}" for n in range(count))
    ids, problem = confirmed_ids(ack(*names))
    assert ids == names
    assert bool(problem) is (count > 1000)


@pytest.mark.parametrize(
    "payload",
    [b"", b"[", b"7", b"[]", b"{}", ack(), ack(7), ack("r-1", schema="edgeflow/ack/2"),
     b'{"result_ids": "r-1"}', b"\xff", b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_acknowledgement_is_refused(payload: bytes) -> None:
    with pytest.raises(DataError):
        confirmed_ids(payload)


@given(st.binary(max_size=200))
def test_whatever_comes_is_taken_or_refused(payload: bytes) -> None:
    try:
        ids, _ = confirmed_ids(payload)
    except DataError:
        return
    assert all(isinstance(name, str) for name in ids)
