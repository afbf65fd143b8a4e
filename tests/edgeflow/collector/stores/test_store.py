"""Every kind of database: rows once, refusals told, migrations, retention."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from edgeflow.collector.collector import retry_set_aside
from edgeflow.collector.records import Received, read_row, set_aside
from edgeflow.collector.stores.store import BoxSeen, Store
from edgeflow.contracts.messages import Dropped, to_json

ROOT = "edgeflow/v1/plant1/l3/s2"
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
Make = Callable[..., Received]


def test_a_result_is_kept_once_however_often_it_comes(store: Store, message: Make) -> None:
    rows = [read_row(message(number)) for number in range(10)]
    first = store.write(rows, AT)
    again = store.write([*rows, rows[0]], AT)
    assert (first.new, first.known) == (10, 0)
    assert (again.new, again.known) == (0, 11)
    assert store.summary().results == 10


def test_results_of_any_year_are_kept(store: Store, message: Make) -> None:
    moments = [datetime(year, 1, 2, tzinfo=UTC) for year in (1970, 2019, 2026, 2200, 9999)]
    assert store.write([read_row(message(n, at)) for n, at in enumerate(moments)], AT).new == 5


def test_notices_of_dropped_results_are_counted_once(store: Store) -> None:
    notice = Dropped(record_id="d-1", first="a", last="b", count=7, why="full", at="2026-11-29T12:00:00.0Z")
    row = read_row(Received(root=ROOT, kind="dropped", payload=to_json(notice)))
    for _ in range(2):
        store.write([row], AT)
    assert store.summary().dropped == 7


def test_what_was_set_aside_comes_in_when_it_can_be_read(store: Store, message: Make) -> None:
    broken = Received(root=ROOT, kind="result", payload=b"\xff")
    store.write([set_aside(message(1), "an earlier version could not read it"), read_row(broken)], AT)
    assert retry_set_aside(store) == (1, 1)
    found = store.summary()
    assert (found.results, found.set_aside) == (1, 1)


def test_copies_of_a_poisonous_message_are_kept_once(store: Store) -> None:
    row = read_row(Received(root=ROOT, kind="result", payload=b'{"result_id": "p-1"}'))
    assert store.write([row], AT).aside == 1
    assert store.write([row], AT).aside == 0


def test_boxes_are_known_with_their_latest_session(store: Store) -> None:
    now = datetime.now(UTC)
    store.note_boxes([BoxSeen(root="r1", session="a", seen_at=now, two_boxes=False)])
    store.note_boxes([BoxSeen(root="r1", session="b", seen_at=now, two_boxes=True)])
    store.note_boxes([BoxSeen(root="r1", session="b", seen_at=now, two_boxes=False)])
    (box,) = store.summary().boxes
    assert (box.session, box.two_boxes) == ("b", True)


def test_rejected_results_wait_for_the_webhook_until_they_are_taken(store: Store, message: Make) -> None:
    store.write([read_row(message(number)) for number in range(4)], AT)
    due = store.postings(AT, 10)
    assert [posting.result_id for posting in due] == ["session-000001", "session-000003"]
    document = json.loads(due[0].document)
    assert document["verdict"] == "NG"
    assert document["views"][0]["id"] == "C1"
    assert store.postings(AT, 10) == []  # reserved
    store.posted(["session-000001"])
    store.postpone("session-000003", 1, AT)
    (left,) = store.postings(AT, 10)
    assert (left.result_id, left.attempts) == ("session-000003", 1)


def test_an_identity_stays(store: Store) -> None:
    first = store.identity()
    store.close()
    assert store.identity() == first


@pytest.mark.parametrize("count", [0, 1])
def test_an_empty_database_says_so(store: Store, message: Make, count: int) -> None:
    if count:
        store.write([read_row(message(1))], AT + timedelta(seconds=1))
    found = store.summary()
    assert (found.results, found.newest_at) == (count, AT if count else None)
