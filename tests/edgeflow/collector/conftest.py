"""A database server and messages of boxes, for the collector's tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeflow.collector.records import Received
from edgeflow.collector.settings import PostgresqlConfig, SqliteConfig
from edgeflow.collector.stores.postgresql import PostgresqlStore
from edgeflow.collector.stores.sqlite import SqliteStore
from edgeflow.collector.stores.store import Store
from edgeflow.contracts.messages import to_json
from simulators.postgresql import Postgresql
from simulators.results import simulated_result
from tests.support.databases import postgresql_server

ROOT = "edgeflow/v1/plant1/l3/s2"
AT = datetime(2026, 11, 29, 12, tzinfo=UTC)
_NAMES = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Postgresql]:
    """One server for all tests; each has a schema of its own."""
    yield from postgresql_server()


@pytest.fixture
def message() -> Callable[..., Received]:
    """Messages of results that differ in number."""

    def make(number: int, at: datetime = AT, root: str = ROOT, **changes: object) -> Received:
        raw = {"C1": 1.5 if number % 2 else 0.4}
        result = simulated_result(number, at, raw).model_copy(update=changes)
        return Received(root=root, kind="result", payload=to_json(result))

    return make


@pytest.fixture
def postgresql(server: Postgresql) -> Iterator[Callable[..., PostgresqlStore]]:
    """A factory of stores in an empty schema; several calls share it."""
    config = PostgresqlConfig(kind="postgresql", connection=server.connection, schema=f"t{next(_NAMES)}")
    made: list[PostgresqlStore] = []

    def make(**more: object) -> PostgresqlStore:
        made.append(PostgresqlStore(config, name="c1", **{"keep": None, **more}))
        return made[-1]

    yield make
    for store in made:
        store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each kind of database, empty; NG results are to be posted."""
    if request.param == "postgresql":
        yield request.getfixturevalue("postgresql")(posted=("NG",))
        return
    made = SqliteStore(SqliteConfig(kind="sqlite", path=tmp_path / "r.db"), keep=None, posted=("NG",))
    yield made
    made.close()
