"""SQLite's own failures, in words that say what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgeflow.collector.records import Received, read_row
from edgeflow.collector.settings import SqliteConfig
from edgeflow.collector.stores.sqlite import SqliteStore
from edgeflow.collector.stores.store import NewerSchemaError, StoreUnavailableError

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
Make = Callable[..., Received]


MADE: list[SqliteStore] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while MADE:
        MADE.pop().close()


def store_at(path: Path, keep: timedelta | None = None) -> SqliteStore:
    MADE.append(SqliteStore(SqliteConfig(kind="sqlite", path=path), keep=keep))
    return MADE[-1]


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store_at(tmp_path / "r.db").identity()
    with closing(sqlite3.connect(tmp_path / "r.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerSchemaError, match=r"version 99, this edgeflow knows .*; update edgeflow"):
        store_at(tmp_path / "r.db").identity()


def test_a_file_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "r.db").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreUnavailableError, match="not a database; put the file aside"):
        store_at(tmp_path / "r.db").identity()


def test_a_full_file_takes_nothing_and_goes_on_when_there_is_room(tmp_path: Path, message: Make) -> None:
    store = store_at(tmp_path / "r.db")
    store.identity()
    assert store._connection is not None
    store._connection.execute("PRAGMA max_page_count = 40")
    rows = [read_row(message(number)) for number in range(500)]
    with pytest.raises(StoreUnavailableError, match="full; make room"):
        store.write(rows, AT)
    assert store.write(rows, AT).new == 500  # a new connection, without that limit


def test_old_results_go_and_younger_ones_stay(tmp_path: Path, message: Make) -> None:
    store = store_at(tmp_path / "r.db", keep=timedelta(days=30))
    old, young = AT - timedelta(days=31), AT - timedelta(days=29)
    store.write([read_row(message(1, old))], old)
    store.write([read_row(message(2, young)), read_row(message(3, old))], AT)  # one came late
    store.maintain(AT)
    assert store.summary().results == 2
