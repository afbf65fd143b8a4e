"""Nothing is acknowledged before it is committed; a row that cannot be kept holds up no other."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from edgeflow.collector.inbox import Inbox
from edgeflow.collector.records import Received, ResultRow, read_row
from edgeflow.collector.settings import SqliteConfig
from edgeflow.collector.stores.postgresql import PostgresqlStore
from edgeflow.collector.stores.sqlite import SqliteStore
from edgeflow.collector.writer import Writer

Make = Callable[..., Received]


class Acknowledged:
    """Keeps what boxes are told."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, ids: Mapping[str, Sequence[str]]) -> None:
        for names in ids.values():
            self.ids += names

    def wait(self, count: int) -> None:
        deadline_s = time.monotonic() + 30
        while len(self.ids) < count:
            assert time.monotonic() < deadline_s, self.ids
            time.sleep(0.01)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "r.db"


def writer_of(database: Path, inbox: Inbox, told: Acknowledged) -> Writer:
    store = SqliteStore(SqliteConfig(kind="sqlite", path=database), keep=None)
    return Writer(store, inbox, told, max_rows=100, max_s=0.01)


def select(database: Path, query: str) -> list[object]:
    with closing(sqlite3.connect(database)) as connection:
        return [value for (value,) in connection.execute(query)]


def test_results_are_committed_and_then_acknowledged(database: Path, message: Make) -> None:
    inbox, told = Inbox(10**6), Acknowledged()
    writer = writer_of(database, inbox, told)
    for number in range(3):
        inbox.put(message(number))
    writer.start()
    told.wait(3)
    writer.stop(10)
    assert (
        select(database, "SELECT result_id FROM results ORDER BY 1")
        == sorted(told.ids)
        == [f"session-00000{n}" for n in range(3)]
    )
    assert writer.counts.new == 3


def test_a_result_that_comes_again_is_acknowledged_again_and_kept_once(database: Path, message: Make) -> None:
    inbox, told = Inbox(10**6), Acknowledged()
    writer = writer_of(database, inbox, told)
    for _ in range(2):
        inbox.put(message(1))
    writer.start()
    told.wait(2)
    writer.stop(10)
    assert select(database, "SELECT count(*) FROM results") == [1]
    assert (writer.counts.new, writer.counts.known) == (1, 1)


def test_nothing_is_acknowledged_while_the_database_is_locked(database: Path, message: Make) -> None:
    inbox, told = Inbox(10**6), Acknowledged()
    writer = writer_of(database, inbox, told)
    other = SqliteStore(SqliteConfig(kind="sqlite", path=database), keep=None)
    other.identity()
    other.close()
    lock = sqlite3.connect(database, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    inbox.put(message(1))
    writer.start()
    deadline_s = time.monotonic() + 30
    while not writer.problem:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert told.ids == []
    lock.execute("ROLLBACK")
    lock.close()
    told.wait(1)
    writer.stop(10)
    assert writer.problem == ""


def test_a_row_that_the_database_refuses_is_set_aside_and_acknowledged(
    postgresql: Callable[..., PostgresqlStore], message: Make
) -> None:
    store, told = postgresql(), Acknowledged()
    writer = Writer(store, Inbox(1000), told, max_rows=100, max_s=0.01)
    rows = [read_row(message(number)) for number in range(9)]
    poison = rows[5]
    assert isinstance(poison, ResultRow)
    values = list(poison.values)
    values[11] = "a\0b"  # past every check of ours: PostgreSQL itself refuses it
    rows[5] = ResultRow(**{**vars(poison), "values": tuple(values)})
    writer.commit(rows)
    assert sorted(told.ids) == [f"session-00000{n}" for n in range(9)]
    found = store.summary()
    assert (found.results, found.set_aside) == (8, 1)
    kept = store.aside(0, 10)[0]
    assert kept.result_id == "session-000005"
    assert "the database refuses a value" in kept.reason
    assert kept.source.payload == message(5).payload


def test_two_boxes_under_one_name_are_told_and_recorded(
    database: Path, message: Make, caplog: pytest.LogCaptureFixture
) -> None:
    store = SqliteStore(SqliteConfig(kind="sqlite", path=database), keep=None)
    writer = Writer(store, Inbox(1000), Acknowledged(), max_rows=10, max_s=0.01)
    for number, session in enumerate(["a", "b", "a", "b"]):
        writer.commit([read_row(message(number, session=session, result_id=f"{session}-{number}"))])
    assert "two boxes have this name" in caplog.text
    writer._note_boxes()
    assert store.summary().boxes[0].two_boxes
    store.close()
