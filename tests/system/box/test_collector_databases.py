"""A collector's process, boxes' outboxes, and a PostgreSQL that is stopped, read-only, slow or newer."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psycopg
import pytest
import yaml

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import Result
from edgeflow.delivery.outbox import Outbox, open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.mqtt.link import MqttLink
from simulators.postgresql import Postgresql
from tests.support.brokers import Broker
from tests.support.databases import postgresql_server

ROOT = "edgeflow/v1/plant1/l3/s2"
Until = Callable[[Callable[[], bool]], None]
MakeResult = Callable[..., Result]


@pytest.fixture(scope="module")
def server() -> Iterator[Postgresql]:
    yield from postgresql_server()


@pytest.fixture
def database(server: Postgresql) -> Iterator[Postgresql]:
    """The server, with nothing of the test before."""
    execute(server, "DROP SCHEMA IF EXISTS edgeflow CASCADE")
    yield server
    execute(server, "ALTER SYSTEM RESET ALL")
    execute(server, "SELECT pg_reload_conf()")


class Plant:
    """Collectors' processes and boxes that deliver, at one broker; all of it ends with the test."""

    def __init__(self, folder: Path, database: Postgresql, box_config: Callable[..., BoxConfig]) -> None:
        self._folder = folder
        self._database = database
        self._box_config = box_config
        self._ends: list[Callable[[], object]] = []

    def collector(self, port: int) -> subprocess.Popen[bytes]:
        file = self._folder / "collector.yaml"
        document = {
            "name": "c1",
            "mqtt": {"host": "127.0.0.1", "port": port},
            "store": {"kind": "postgresql", "connection": self._database.connection},
            "batch": {"max_ms": 10},
        }
        file.write_text(yaml.safe_dump(document))
        command = [sys.executable, "-m", "edgeflow.cli", "collect", str(file)]
        with (self._folder / "log").open("ab") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        self._ends.append(lambda: (process.kill(), process.wait()))
        return process

    def outbox(self, name: str, session: str, client_id: str = "") -> Outbox:
        config = self._box_config(client_id=client_id or name)
        link = MqttLink(config, session)
        made = open_outbox(config.outbox.model_copy(update={"path": self._folder / f"{name}.db"}))
        sender = ResultSender(made, link, "consumer")
        link.start()
        sender.start()
        self._ends.append(lambda: (sender.close(0.0), link.stop(), made.close()))
        return made

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text()

    def close(self) -> None:
        for end in reversed(self._ends):
            end()


@pytest.fixture
def plant(tmp_path: Path, database: Postgresql, box_config: Callable[..., BoxConfig]) -> Iterator[Plant]:
    made = Plant(tmp_path, database, box_config)
    yield made
    made.close()


def execute(server: Postgresql, *statements: str) -> None:
    with psycopg.connect(server.connection, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def ids(server: Postgresql) -> list[str]:
    with psycopg.connect(server.connection) as connection, suppress(psycopg.errors.UndefinedTable):
        return [name for (name,) in connection.execute("SELECT result_id FROM edgeflow.results ORDER BY 1")]
    return []


def put(outbox: Outbox, make_result: MakeResult, *numbers: int, **more: object) -> None:
    for number in numbers:
        outbox.put(make_result(number).model_copy(update=more))


def test_a_server_that_is_stopped_and_not_killed_loses_nothing(
    plant: Plant, database: Postgresql, broker: Broker, make_result: MakeResult, until: Until
) -> None:
    """Connected, and silent: SIGSTOP. A collector ends in order meanwhile, too."""
    outbox = plant.outbox("box", "session-a")
    first = plant.collector(broker.port)
    put(outbox, make_result, 1)
    until(lambda: outbox.count() == 0)
    database.freeze()
    try:
        put(outbox, make_result, 2, 3)
        first.send_signal(signal.SIGTERM)
        assert first.wait(60) == 0, plant.log
        plant.collector(broker.port)
        until(lambda: "the database is not ready: PostgreSQL" in plant.log)
        assert outbox.count() == 2
    finally:
        database.thaw()
    until(lambda: outbox.count() == 0)
    assert ids(database) == ["r-1", "r-2", "r-3"]


def test_a_read_only_server_is_told_and_takes_everything_afterwards(
    plant: Plant, database: Postgresql, broker: Broker, make_result: MakeResult, until: Until
) -> None:
    outbox = plant.outbox("box", "session-a")
    plant.collector(broker.port)
    put(outbox, make_result, 1)
    until(lambda: outbox.count() == 0)
    execute(database, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    until(lambda: _is_read_only(database))
    put(outbox, make_result, 2)
    until(lambda: "nothing is acknowledged: PostgreSQL" in plant.log and "it is read-only" in plant.log)
    assert outbox.count() == 1
    execute(
        database,
        "SET default_transaction_read_only = off",
        "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()",
    )
    until(lambda: outbox.count() == 0)
    assert ids(database) == ["r-1", "r-2"]
    assert "the database takes results again" in plant.log


def _is_read_only(server: Postgresql) -> bool:
    with psycopg.connect(server.connection) as connection:
        return connection.execute("SHOW default_transaction_read_only").fetchone() == ("on",)


def test_tables_that_a_newer_edgeflow_takes_over_get_no_rows_from_this_one(
    plant: Plant, database: Postgresql, broker: Broker, make_result: MakeResult, until: Until
) -> None:
    """Another collector was updated while this one runs, and its connection stands."""
    outbox = plant.outbox("box", "session-a")
    plant.collector(broker.port)
    put(outbox, make_result, 1)
    until(lambda: outbox.count() == 0)
    execute(database, "INSERT INTO edgeflow.schema_version VALUES (99, now())")
    put(outbox, make_result, 2)
    until(lambda: "its tables have version 99" in plant.log)
    assert outbox.count() == 1
    assert ids(database) == ["r-1"]
    execute(database, "DELETE FROM edgeflow.schema_version WHERE version = 99")
    until(lambda: outbox.count() == 0)
    assert ids(database) == ["r-1", "r-2"]


def test_a_collector_that_is_killed_between_commit_and_acknowledgement_doubles_nothing(
    plant: Plant, database: Postgresql, broker: Broker, make_result: MakeResult, until: Until
) -> None:
    """A relay swallows its acknowledgements, so the rows are committed and the box does not know."""
    outbox = plant.outbox("box", "session-a")
    with closing(OneWay(broker.port)) as way:
        victim = plant.collector(way.port)
        put(outbox, make_result, 0)
        until(lambda: outbox.count() == 0)
        way.swallow.set()
        numbers = range(1, 21)
        put(outbox, make_result, *numbers)
        until(lambda: len(ids(database)) == 21)
        assert outbox.count() == 20
        victim.kill()
        victim.wait()
    assert outbox.count() == 20
    plant.collector(broker.port)
    until(lambda: outbox.count() == 0)
    assert ids(database) == sorted(f"r-{number}" for number in range(21))


@pytest.mark.parametrize("client_id", ["copy", "box"])
def test_two_boxes_under_one_name_lose_nothing_and_are_told(
    client_id: str,
    plant: Plant,
    database: Postgresql,
    broker: Broker,
    make_result: MakeResult,
    until: Until,
    tmp_path: Path,
) -> None:
    """A copied box file: the same topics, of which each box takes the other's acknowledgements, too.

    With the same client id, the broker lets each connection end the other one.
    """
    first, second = plant.outbox("box", "session-a"), plant.outbox("copy", "session-b", client_id)
    plant.collector(broker.port)
    for number in range(0, 20, 2):
        put(first, make_result, number, session="session-a")
        put(second, make_result, number + 1, session="session-b")
        until(lambda: first.count() + second.count() == 0)
    assert ids(database) == sorted(f"r-{number}" for number in range(20))
    until(lambda: f"{ROOT}: two boxes have this name" in plant.log)
    command = [sys.executable, "-m", "edgeflow.cli", "collect", str(tmp_path / "collector.yaml"), "--status"]

    def status() -> str:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout

    until(lambda: "two boxes" in status())


class OneWay:
    """Passes connections on to a port; what clients send is swallowed once that is asked for."""

    def __init__(self, target: int) -> None:
        self.swallow = threading.Event()
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._pass_on, args=(client,), daemon=True).start()

    def _pass_on(self, client: socket.socket) -> None:
        with (
            suppress(OSError),
            client,
            socket.create_connection(("127.0.0.1", self._target)) as broker,
            selectors.DefaultSelector() as ready,
        ):
            ready.register(client, selectors.EVENT_READ, broker)
            ready.register(broker, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    data = os.read(key.fd, 65536)
                    if not data:
                        return
                    if key.data is client or not self.swallow.is_set():
                        key.data.sendall(data)
