"""Messages become rows, or are set aside with a reason; none is an error."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeflow.collector.records import COLUMNS, DropRow, Received, ResultRow, SetAside, read_row
from edgeflow.contracts.messages import Dropped, to_json

ROOT = "edgeflow/v1/plant1/l3/s2"
Make = Callable[..., Received]


def column(row: ResultRow, name: str) -> object:
    return row.values[COLUMNS.index(name)]


def test_a_result_becomes_a_row_with_the_place_of_its_topic(message: Make) -> None:
    row = read_row(message(1))
    assert isinstance(row, ResultRow)
    assert (column(row, "site"), column(row, "line"), column(row, "station")) == ("plant1", "l3", "s2")
    assert (row.result_id, column(row, "verdict"), column(row, "worst_view")) == (
        "session-000001",
        "NG",
        "C1",
    )


def test_what_has_no_column_is_kept_in_the_record(message: Make) -> None:
    document = json.loads(message(1).payload) | {"of_a_newer_version": [1, 2]}
    row = read_row(Received(root=ROOT, kind="result", payload=json.dumps(document).encode()))
    assert isinstance(row, ResultRow)
    record = json.loads(str(column(row, "record")))
    assert record["of_a_newer_version"] == [1, 2]
    assert record["views"][0]["id"] == "C1"
    assert "result_id" not in record


def test_a_reason_code_of_a_newer_version_is_taken(message: Make) -> None:
    document = json.loads(message(1).payload) | {"reason_code": "something_new"}
    row = read_row(Received(root=ROOT, kind="result", payload=json.dumps(document).encode()))
    assert isinstance(row, ResultRow)
    assert column(row, "reason_code") == "something_new"


def test_a_notice_of_dropped_results_becomes_a_row() -> None:
    notice = Dropped(
        record_id="d-1", first="s-1", last="s-9", count=9, why="full", at="2026-11-29T12:00:00.000Z"
    )
    row = read_row(Received(root=ROOT, kind="dropped", payload=to_json(notice)))
    assert isinstance(row, DropRow)
    assert (row.result_id, row.count) == ("d-1", 9)


def changed(message: Received, **changes: object) -> Received:
    document = json.loads(message.payload) | changes
    return Received(root=message.root, kind="result", payload=json.dumps(document).encode())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"schema": "edgeflow/result/2"}, "a newer edgeflow made it (schema edgeflow/result/2)"),
        ({"decided_at": "2026-13-45T12:00:00.0Z"}, "impossible value: month"),
        ({"seq": 2**70}, "seq"),
        ({"seq": -1}, "seq: -1 is no number of a part"),
        ({"part_id": "a\0b"}, "NUL"),
        ({"part_id": "x" * 600}, "an id of 600 letters"),
        ({"reason": "\ud800"}, "hex escape"),
        ({"verdict": "MAYBE"}, "verdict"),
    ],
)
def test_impossible_values_are_set_aside_under_their_id(
    message: Make, changes: dict[str, object], reason: str
) -> None:
    row = read_row(changed(message(1), **changes))
    assert isinstance(row, SetAside)
    assert reason in row.reason
    assert row.result_id == "session-000001"


def test_an_unreadable_message_is_set_aside_under_the_id_in_it() -> None:
    row = read_row(Received(root=ROOT, kind="result", payload=b'{"result_id":"s-7","seq":1,,,'))
    assert isinstance(row, SetAside)
    assert row.result_id == "s-7"
    assert row.reason.startswith("not JSON")


def test_copies_of_an_unreadable_message_have_one_key() -> None:
    rows = [read_row(Received(root=ROOT, kind="result", payload=b"\xff\xfe")) for _ in range(2)]
    assert all(isinstance(row, SetAside) for row in rows)
    assert len({row.key for row in rows if isinstance(row, SetAside)}) == 1


@given(st.binary(max_size=200), st.sampled_from(["result", "dropped"]))
def test_no_payload_is_an_error(payload: bytes, kind: str) -> None:
    assert isinstance(read_row(Received(root=ROOT, kind=kind, payload=payload)), SetAside)
