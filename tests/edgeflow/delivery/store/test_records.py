"""A stored row that nobody could confirm is known before it is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgeflow.contracts.messages import Result, from_json, to_json
from edgeflow.delivery.store.records import DROPPED, ROW_OVERHEAD, Row, entry_of, fault_of, record_entry

SAMPLE = from_json(Result, (Path(__file__).parents[3] / "samples" / "result.json").read_bytes())
RESULT: dict[str, Any] = {"schema": "edgeflow/result/1", "result_id": "r-1", "session": "s", "seq": 1}
RECORD: dict[str, Any] = {"schema": "edgeflow/dropped/1", "record_id": "r-1"}


def fault(payload: bytes, verdict: str = "OK") -> str:
    return fault_of(Row(id=1, result_id="r-1", verdict=verdict, payload=payload))


@pytest.mark.parametrize(("verdict", "priority"), [("OK", 0), ("UNDECIDED", 1), ("NG", 2)])
def test_a_result_is_stored_as_it_is_sent(verdict: str, priority: int) -> None:
    result = SAMPLE.model_copy(update={"verdict": verdict})
    entry = entry_of(result, "a/b")
    assert (entry.result_id, entry.verdict, entry.priority) == ("r-1", verdict, priority)
    assert (entry.payload, entry.root, entry.aside) == (to_json(result), "a/b", "")
    assert entry.size == len(entry.payload) + ROW_OVERHEAD
    assert fault(entry.payload, verdict) == ""
    assert entry_of(result).root == ""


def test_a_record_of_drops_is_above_every_result() -> None:
    entry = record_entry("d-1", b"{}", "a/b")
    assert (entry.result_id, entry.verdict, entry.payload, entry.root) == ("d-1", DROPPED, b"{}", "a/b")
    assert entry.priority > entry_of(SAMPLE.model_copy(update={"verdict": "NG"})).priority


@pytest.mark.parametrize("payload", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_row_that_is_not_json_is_damaged(payload: bytes) -> None:
    assert fault(payload) == "unreadable: it is not JSON; the file was damaged there"


@pytest.mark.parametrize("payload", [b"[]", b"1", b"null", b'"r-1"'])
def test_a_row_that_is_no_object_is_damaged(payload: bytes) -> None:
    assert fault(payload) == "unreadable: it is no message; the file was damaged there"


@pytest.mark.parametrize(
    ("record", "verdict", "lacking"),
    [
        (RESULT, "NG", ""),
        (RECORD, DROPPED, ""),
        (RESULT | {"schema": None}, "OK", "schema"),
        (RESULT | {"session": 1}, "OK", "session"),
        (RESULT | {"seq": "1"}, "OK", "seq"),
        (RESULT | {"seq": True}, "OK", "seq"),
        ({}, "OK", "schema, result_id, session, seq"),
        ({}, DROPPED, "schema, record_id"),
        (RECORD, "OK", "result_id, session, seq"),
        (RESULT, DROPPED, "record_id"),
    ],
)
def test_a_row_names_all_that_it_lacks(record: dict[str, Any], verdict: str, lacking: str) -> None:
    expected = f"unreadable: it has no {lacking}; the file was damaged there" if lacking else ""
    assert fault(json.dumps(record).encode(), verdict) == expected


@pytest.mark.parametrize(("name", "verdict"), [("result_id", "OK"), ("record_id", DROPPED)])
def test_a_row_that_names_another_message_could_never_be_confirmed(name: str, verdict: str) -> None:
    record = {**(RESULT if verdict == "OK" else RECORD), name: "r-2"}
    assert fault(json.dumps(record).encode(), verdict) == (
        f"unreadable: it names another {name} than its row; nobody could confirm it"
    )
