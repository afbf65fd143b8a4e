"""Figures for a plant of many boxes, each on one core: database, bytes, collector and broker.

PYTHONPATH=tools python -m benchmarks.collector     (starts a PostgreSQL and a Mosquitto of its own)
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import numpy as np
import paho.mqtt.client as paho
import psycopg
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console

from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.collector.consumer import Consumer
from edgeflow.collector.inbox import Inbox
from edgeflow.collector.other_consumers import OtherConsumers
from edgeflow.collector.records import Received, Row, read_row
from edgeflow.collector.settings import CollectorConfig, PostgresqlConfig, SqliteConfig
from edgeflow.collector.stores.postgresql import PostgresqlStore
from edgeflow.collector.stores.sqlite import SqliteStore
from edgeflow.collector.stores.store import Store
from edgeflow.collector.writer import Writer
from edgeflow.contracts.documents.document import parse_document
from edgeflow.contracts.messages import to_json
from edgeflow.errors import ConfigError
from faults.rig import Site
from simulators.postgresql import Postgresql
from simulators.results import simulated_result

BATCH = 2000
VIEWS = 5
SIDE = 768
ROOT = "edgeflow/v1/plant1/line{line}/s{box}"


@dataclass(frozen=True, kw_only=True)
class Spent:
    """Rows in a time, by the wall and by processor times of client and server."""

    rows: int
    wall_s: float
    client_s: float
    server_s: float


@click.command()
@click.option("--rows", type=int, default=60_000, show_default=True)
def main(rows: int) -> None:
    """Measure, and print what 1,000 boxes at 5 parts/s need."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="cb") as name:
        folder = Path(name)
        messages = _messages(rows)
        size = sum(len(message.payload) for message in messages) / rows
        begun_s = time.process_time()
        read = [read_row(message) for message in messages]
        read_us = (time.process_time() - begun_s) / rows * 1e6
        database = Postgresql(folder / "pg")
        database.start()
        try:
            copied = _filled(database, read)
            row_bytes = _row_bytes(database, rows)
            collected = _collected(folder, database, messages)
        finally:
            database.kill()
        begun_s = time.process_time()
        _fill(SqliteStore(SqliteConfig(kind="sqlite", path=folder / "r.db"), keep=None), read)
        sqlite_s = time.process_time() - begun_s
        broker = _broker(folder, messages)
        evidence = _evidence_bytes()
    table = make_table("figure", "value", right=("value",))
    for what, value in (
        ("bytes of a result's message, five views", f"{size:,.0f}"),
        ("bytes of a result in PostgreSQL, with indexes", f"{row_bytes:,.0f}"),
        (f"bytes of evidence of a part, five views of {SIDE}×{SIDE}", f"{evidence:,.0f}"),
        ("reading a message: µs of the collector's processor", f"{read_us:,.0f}"),
        ("COPY and INSERT: rows/s by the wall, one connection", f"{copied.rows / copied.wall_s:,.0f}"),
        ("COPY and INSERT: rows per second of the collector's core", f"{copied.rows / copied.client_s:,.0f}"),
        ("COPY and INSERT: rows per second of the server's core", f"{copied.rows / copied.server_s:,.0f}"),
        ("SQLite: rows per second of a core", f"{rows / sqlite_s:,.0f}"),
        (
            "collector, MQTT to commit to acknowledgement: results/s",
            f"{collected.rows / collected.wall_s:,.0f}",
        ),
        ("the same, per second of the collector's core", f"{collected.rows / collected.client_s:,.0f}"),
        ("broker: results in and out per second of its core", f"{broker:,.0f}"),
    ):
        table.add_row(what, value)
    print_table(console, table)


def _messages(rows: int) -> list[Received]:
    """Results of 1,000 boxes at 5 parts/s, five views each."""
    rng = np.random.default_rng(5)
    begin = datetime(2026, 11, 10, tzinfo=UTC)
    found = []
    for number in range(rows):
        scores = {f"C{view + 1}": float(score) for view, score in enumerate(rng.normal(0.4, 0.1, VIEWS))}
        result = simulated_result(number, begin + number * timedelta(milliseconds=0.2), scores)
        result = result.model_copy(
            update={"session": f"{number % 1000:012x}", "result_id": f"{number % 1000:012x}-{number:06d}"}
        )
        root = ROOT.format(line=number % 50, box=number % 1000)
        found.append(Received(root=root, kind="result", payload=to_json(result)))
    return found


def _filled(database: Postgresql, rows: Sequence[Row]) -> Spent:
    config = PostgresqlConfig(kind="postgresql", connection=database.connection)
    store = PostgresqlStore(config, name="bench", keep=None)
    store.maintain(datetime(2026, 11, 10, tzinfo=UTC))
    server_s, client_s, begun_s = _processor_s(database.pid), time.process_time(), time.monotonic()
    _fill(store, rows)  # its server process ends with the connection, and counts then
    wall_s, client_s = time.monotonic() - begun_s, time.process_time() - client_s
    time.sleep(0.5)
    return Spent(
        rows=len(rows), wall_s=wall_s, client_s=client_s, server_s=_processor_s(database.pid) - server_s
    )


def _fill(store: Store, rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), BATCH):
        store.write(rows[start : start + BATCH], datetime.now(UTC))
    store.close()


def _row_bytes(database: Postgresql, rows: int) -> float:
    query = (
        "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits "
        "WHERE inhparent = 'edgeflow.results'::regclass"
    )
    with psycopg.connect(database.connection, autocommit=True) as connection:
        total = connection.execute(query).fetchone()
        connection.execute("TRUNCATE edgeflow.results")
    return float(total[0]) / rows if total else 0.0


def _collected(folder: Path, database: Postgresql, messages: Sequence[Received]) -> Spent:
    """A collector of this process at a real broker; a child process publishes, as many boxes would."""
    site = Site(folder=folder, host="127.0.0.1", outbox=folder / "none.db")
    site.start_broker()
    document: dict[str, Any] = {
        "name": "bench",
        "mqtt": {"host": site.host, "port": site.port},
        "store": {"kind": "postgresql", "connection": database.connection},
    }
    config = parse_document(CollectorConfig, document, what="bench", error=ConfigError)
    inbox, others = Inbox(10**9), OtherConsumers(group="collector", name="bench")
    consumer = Consumer(config, inbox, others)
    store_config = PostgresqlConfig(kind="postgresql", connection=database.connection)
    store = PostgresqlStore(store_config, name="bench", keep=None)
    others.store = store.identity()
    acknowledged: list[int] = []

    def acknowledge(ids: Any) -> None:
        consumer.acknowledge(ids)
        acknowledged.append(sum(map(len, ids.values())))

    writer = Writer(store, inbox, acknowledge, max_rows=BATCH, max_s=0.1)
    consumer.start()
    writer.start()
    _wait(lambda: consumer.collecting)
    publisher = os.fork()
    if publisher == 0:
        try:
            _publish(site.port, messages)
        finally:
            os._exit(0)
    _wait(lambda: bool(acknowledged))
    client_s, begun_s, before = time.process_time(), time.monotonic(), sum(acknowledged)
    _wait(lambda: sum(acknowledged) >= len(messages) * 0.95 or _ended(publisher))
    rows, wall_s = sum(acknowledged) - before, time.monotonic() - begun_s
    client_s = time.process_time() - client_s
    writer.stop(10)
    consumer.stop()
    site.end()
    return Spent(rows=rows, wall_s=wall_s, client_s=client_s, server_s=0.0)


def _ended(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _wait(condition: Callable[[], bool], limit_s: float = 300.0) -> None:
    deadline_s = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline_s:
            raise SystemExit("nothing happens; is the machine too busy?")
        time.sleep(0.02)


def _publish(port: int, messages: Sequence[Received]) -> None:
    """Publish as fast as the broker takes them, at QoS 1."""
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    client.max_inflight_messages_set(20)
    sent = threading.Semaphore(500)
    client.on_publish = lambda *_: sent.release()
    client.connect("127.0.0.1", port)
    client.loop_start()
    for message in messages:
        sent.acquire()
        client.publish(f"{message.root}/result", message.payload, 1)
    for _ in range(500):
        sent.acquire()
    client.disconnect()
    client.loop_stop()


def _broker(folder: Path, messages: Sequence[Received]) -> float:
    """Results per second of the broker's processor, with one subscriber at QoS 1."""
    site = Site(folder=folder, host="127.0.0.1", outbox=folder / "none.db")
    site.start_broker()
    came = threading.Semaphore(0)
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    ready = threading.Event()
    client.on_subscribe = lambda *_: ready.set()
    client.on_message = lambda *_: came.release()
    client.connect(site.host, site.port)
    client.subscribe("$share/g/edgeflow/v1/+/+/+/result", 1)
    client.loop_start()
    ready.wait(30)
    before_s = _processor_s(site.broker_pid)
    some = messages[:20_000]
    _publish(site.port, some)
    for _ in some:
        came.acquire(timeout=30)
    spent_s = _processor_s(site.broker_pid) - before_s
    client.disconnect()
    client.loop_stop()
    site.end()
    return len(some) / spent_s


def _processor_s(pid: int) -> float:
    """Processor time of a process and its ended children."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(part) for part in parts[11:15]) / os.sysconf("SC_CLK_TCK")


def _evidence_bytes() -> float:
    """A part's folder as the box writes it: photographs with a sensor's noise, overlays and maps."""
    from edgeflow.contracts.manifest import Scale  # noqa: PLC0415
    from edgeflow.evidence.files import EvidenceJob, write_evidence  # noqa: PLC0415

    rng = np.random.default_rng(5)
    ramp = np.linspace(40, 200, SIDE)[None, :, None] * np.ones((SIDE, 1, 3))
    images = {
        f"C{n}": (ramp + rng.normal(0, 2, (SIDE, SIDE, 3))).clip(0, 255).astype(np.uint8)
        for n in range(VIEWS)
    }
    maps = {view: rng.normal(0.3, 0.1, (SIDE // 4, SIDE // 4)).astype(np.float32) for view in images}
    result = simulated_result(1, datetime(2026, 11, 10, tzinfo=UTC), dict.fromkeys(images, 0.5))
    scales = {view: Scale(centre=0.3, threshold=1.0) for view in images}
    with tempfile.TemporaryDirectory() as folder:
        job = EvidenceJob(result=result, originals=images, images=images, maps=maps, scales=scales)
        write_evidence(Path(folder) / "part", job)
        return float(sum(file.stat().st_size for file in (Path(folder) / "part").iterdir()))


if __name__ == "__main__":
    main()
