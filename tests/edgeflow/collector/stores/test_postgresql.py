"""PostgreSQL's own ways: partitions, migrations by several, and failures in words that say what to do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from edgeflow.collector.records import Received, read_row
from edgeflow.collector.settings import PostgresqlConfig
from edgeflow.collector.stores.partitions import month_of, months_on
from edgeflow.collector.stores.postgresql import PostgresqlStore
from edgeflow.collector.stores.store import NewerSchemaError, StoreUnavailableError
from edgeflow.errors import ConfigError
from simulators.postgresql import Postgresql

AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
Make = Callable[..., Received]
MakeStore = Callable[..., PostgresqlStore]


def partitions(server: Postgresql, store: PostgresqlStore) -> list[str]:
    query = (
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = %s::regclass ORDER BY 1"
    )
    with psycopg.connect(server.connection) as connection:
        rows = connection.execute(query, (f"{store._config.db_schema}.results",)).fetchall()
    return [name for (name,) in rows]


def execute(server: Postgresql, store: PostgresqlStore, statement: str) -> None:
    with psycopg.connect(server.connection, autocommit=True) as connection:
        connection.execute(f"SET search_path TO {store._config.db_schema}".encode())
        connection.execute(statement.encode())


def test_partitions_are_made_ahead(server: Postgresql, postgresql: MakeStore) -> None:
    store = postgresql()
    store.maintain(AT)
    assert partitions(server, store) == [
        "results_2026_11",
        "results_2026_12",
        "results_2027_01",
        "results_other",
    ]


def test_a_clock_far_off_gets_no_partition(server: Postgresql, postgresql: MakeStore, message: Make) -> None:
    store = postgresql()
    moments = [datetime(year, 6, 1, tzinfo=UTC) for year in (1970, 2026, 2099)]
    store.write([read_row(message(n, at)) for n, at in enumerate(moments)], AT)
    assert partitions(server, store) == ["results_2026_06", "results_other"]


def test_results_of_a_month_without_partition_move_into_it(
    server: Postgresql, postgresql: MakeStore, message: Make
) -> None:
    store = postgresql()
    ahead = datetime(2027, 5, 3, tzinfo=UTC)
    store.write([read_row(message(1, ahead))], AT)
    assert partitions(server, store) == ["results_other"]
    store.maintain(ahead)
    again = store.write([read_row(message(1, ahead))], ahead)
    assert (again.new, again.known) == (0, 1)
    with psycopg.connect(server.connection) as connection:
        query = f"SELECT count(*) FROM {store._config.db_schema}.results_2027_05"  # noqa: S608
        assert connection.execute(query.encode()).fetchone() == (1,)


def test_whole_months_are_dropped_when_they_are_old(
    server: Postgresql, postgresql: MakeStore, message: Make
) -> None:
    store = postgresql(keep=timedelta(days=60))
    months = [datetime(2026, month, 20, tzinfo=UTC) for month in (9, 10, 11)]
    store.write([read_row(message(n, at)) for n, at in enumerate(months)], months[0])
    store.maintain(datetime(2026, 12, 5, tzinfo=UTC))
    assert "results_2026_09" not in partitions(server, store)
    assert "results_2026_10" in partitions(server, store)
    assert store.summary().results == 2


def test_collectors_that_start_together_make_the_tables_once(postgresql: MakeStore) -> None:
    stores = [postgresql() for _ in range(6)]
    found: list[str] = []
    threads = [threading.Thread(target=lambda s=store: found.append(s.identity())) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert len(set(found)) == 1


def test_two_collectors_with_the_same_results_in_other_orders_never_wait_for_each_other(
    postgresql: MakeStore, message: Make
) -> None:
    rows = [read_row(message(number)) for number in range(2000)]
    first, second = postgresql(), postgresql()
    first.identity()
    new: list[int] = []
    threads = [
        threading.Thread(target=lambda s=store, r=order: new.append(s.write(r, AT).new))
        for store, order in ((first, rows), (second, rows[::-1]))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(new) == 2000


def test_a_schema_of_a_newer_version_is_refused(server: Postgresql, postgresql: MakeStore) -> None:
    store = postgresql()
    store.identity()
    execute(server, store, "INSERT INTO schema_version VALUES (99, now())")
    store.close()
    with pytest.raises(NewerSchemaError, match=r"version 99, this edgeflow knows .*; update edgeflow"):
        store.identity()


def test_a_read_only_database_is_told(server: Postgresql, postgresql: MakeStore, message: Make) -> None:
    store = postgresql()
    store.maintain(AT)
    assert store._connection is not None
    store._connection.execute("SET default_transaction_read_only = on")
    with pytest.raises(StoreUnavailableError, match="it is read-only"):
        store.write([read_row(message(1))], AT)
    assert store.write([read_row(message(1))], AT).new == 1


def test_a_locked_table_is_told_and_waited_for(
    server: Postgresql, postgresql: MakeStore, message: Make
) -> None:
    store = postgresql()
    store.maintain(AT)
    assert store._connection is not None
    store._connection.execute("SET lock_timeout = '50ms'")
    with psycopg.connect(server.connection) as other:
        other.execute(f"LOCK TABLE {store._config.db_schema}.results".encode())
        with pytest.raises(StoreUnavailableError, match="too slow, or locked"):
            store.write([read_row(message(1))], AT)
    assert store.write([read_row(message(1))], AT).new == 1


def test_a_slow_database_is_told_and_gets_its_rows_afterwards(
    server: Postgresql, postgresql: MakeStore, message: Make
) -> None:
    store = postgresql()
    store.maintain(AT)
    body = "BEGIN PERFORM pg_sleep(60); RETURN NEW; END"
    execute(server, store, f"CREATE FUNCTION sleepy() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
    execute(
        server, store, "CREATE TRIGGER sleepy BEFORE INSERT ON results FOR EACH ROW EXECUTE FUNCTION sleepy()"
    )
    assert store._connection is not None
    store._connection.execute("SET statement_timeout = '100ms'")
    with pytest.raises(StoreUnavailableError, match="it is too slow"):
        store.write([read_row(message(1))], AT)
    execute(server, store, "DROP TRIGGER sleepy ON results")
    assert store.write([read_row(message(1))], AT).new == 1


def test_a_server_that_stands_still_is_given_up_with_its_connection(
    server: Postgresql, postgresql: MakeStore, message: Make
) -> None:
    store = postgresql(silent_s=1.0)
    store.maintain(AT)
    server.freeze()
    try:
        with pytest.raises(StoreUnavailableError, match=r"no answer for 1 s; does its server stand still"):
            store.write([read_row(message(1))], AT)
        assert store._connection is None
    finally:
        server.thaw()
    assert store.write([read_row(message(1))], AT).new + store.write([read_row(message(1))], AT).known >= 1
    assert store.summary().results == 1


def test_tables_that_become_newer_under_a_connection_get_no_row(
    server: Postgresql, postgresql: MakeStore, message: Make
) -> None:
    store = postgresql()
    store.maintain(AT)
    execute(server, store, "INSERT INTO schema_version VALUES (99, now())")
    with pytest.raises(NewerSchemaError, match="version 99"):
        store.write([read_row(message(1))], AT)
    execute(server, store, "DELETE FROM schema_version WHERE version = 99")
    assert store.write([read_row(message(1))], AT).new == 1


def test_a_server_that_is_away_is_told(tmp_path: object) -> None:
    config = PostgresqlConfig(kind="postgresql", connection="host=127.0.0.1 port=1 dbname=q")
    with pytest.raises(StoreUnavailableError, match=r"Connection refused.*check store\.connection"):
        PostgresqlStore(config, name="c", keep=None).identity()


def test_a_connection_string_that_is_none_is_a_mistake_of_the_file() -> None:
    config = PostgresqlConfig(kind="postgresql", connection="hots=127.0.0.1")
    with pytest.raises(ConfigError, match=r"store\.connection"):
        PostgresqlStore(config, name="c", keep=None).identity()


def test_views_are_rows_of_a_view(server: Postgresql, postgresql: MakeStore, message: Make) -> None:
    store = postgresql()
    store.write([read_row(message(1))], AT)
    with psycopg.connect(server.connection) as connection:
        query = f"SELECT view, score FROM {store._config.db_schema}.result_views"  # noqa: S608
        assert connection.execute(query.encode()).fetchall() == [("C1", 1.5)]


@pytest.mark.parametrize(
    ("month", "count", "expected"),
    [
        ((2026, 11), 1, (2026, 12)),
        ((2026, 12), 1, (2027, 1)),
        ((2026, 1), -1, (2025, 12)),
        ((9999, 12), 1, (9999, 12)),
        ((1, 1), -3, (1, 1)),
    ],
)
def test_months_are_counted_over_the_year(
    month: tuple[int, int], count: int, expected: tuple[int, int]
) -> None:
    found = months_on(datetime(*month, 1, tzinfo=UTC), count)
    assert (found.year, found.month) == expected


def test_a_month_is_that_of_utc() -> None:
    moment = datetime.fromisoformat("2026-12-01T00:30:00+01:00")
    assert month_of(moment) == datetime(2026, 11, 1, tzinfo=UTC)
