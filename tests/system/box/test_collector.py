"""A real box's outbox, a real broker, and collectors: what arrives, who else collects, what is told."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from edgeflow.cli.collect import collect
from edgeflow.collector.collector import run_collector
from edgeflow.collector.settings import CollectorConfig, load_collector_config
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import Result, to_json
from edgeflow.delivery.outbox import Outbox, open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.mqtt.link import MqttLink
from tests.support.brokers import Broker

ROOT = "edgeflow/v1/plant1/l3/s2"
Until = Callable[[Callable[[], bool]], None]
MakeFile = Callable[..., Path]


@pytest.fixture
def file(broker: Broker, tmp_path: Path) -> MakeFile:
    """A collector's file at the broker, with a database of its own unless another one is named."""

    def make(name: str, *, group: str = "collector", database: str = "", **more: Any) -> Path:
        document = {
            "name": name,
            "group": group,
            "mqtt": {"host": "127.0.0.1", "port": broker.port},
            "store": {"kind": "sqlite", "path": database or f"{name}.db"},
            **more,
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    return make


class Running:
    """Collectors on threads of this process, ended one by one."""

    def __init__(self) -> None:
        self._all: dict[str, tuple[threading.Event, threading.Thread]] = {}

    def start(self, file: Path) -> CollectorConfig:
        config = load_collector_config(file)
        stop = threading.Event()
        thread = threading.Thread(target=run_collector, args=(config, stop, lambda _: None))
        thread.start()
        self._all[config.collector_name] = (stop, thread)
        return config

    def end(self, name: str) -> None:
        stop, thread = self._all.pop(name)
        stop.set()
        thread.join(30)
        assert not thread.is_alive()

    def close(self) -> None:
        for name in list(self._all):
            self.end(name)


@pytest.fixture
def running() -> Iterator[Running]:
    made = Running()
    yield made
    made.close()


@pytest.fixture
def outbox(box_config: Callable[..., BoxConfig]) -> Iterator[Outbox]:
    """The outbox of a box that delivers."""
    config = box_config()
    link = MqttLink(config, "session-a")
    made = open_outbox(config.outbox)
    sender = ResultSender(made, link, "consumer")
    link.start()
    sender.start()
    yield made
    sender.close(0.0)
    link.stop()
    made.close()


def ids(database: Path) -> list[str]:
    if not database.is_file():
        return []
    try:
        rows = (
            sqlite3.connect(database).execute("SELECT result_id FROM results ORDER BY result_id").fetchall()
        )
    except sqlite3.OperationalError:  # its tables are being made
        return []
    return [name for (name,) in rows]


def test_the_outbox_is_empty_once_everything_is_committed(
    outbox: Outbox,
    file: MakeFile,
    running: Running,
    make_result: Callable[..., Result],
    until: Until,
    tmp_path: Path,
) -> None:
    for number in range(50):
        outbox.put(make_result(number))
    running.start(file("c1"))
    until(lambda: outbox.count() == 0)
    assert ids(tmp_path / "c1.db") == sorted(f"r-{number}" for number in range(50))


def test_a_collector_that_comes_late_gets_what_waits_at_once(
    outbox: Outbox,
    file: MakeFile,
    running: Running,
    make_result: Callable[..., Result],
    until: Until,
    tmp_path: Path,
) -> None:
    running.start(file("c1"))
    outbox.put(make_result(1))
    until(lambda: outbox.count() == 0)
    running.end("c1")
    outbox.put(make_result(2))
    running.start(file("c1"))
    until(lambda: outbox.count() == 0)
    assert ids(tmp_path / "c1.db") == ["r-1", "r-2"]


def test_a_poisonous_result_is_set_aside_and_holds_up_no_other(
    outbox: Outbox,
    file: MakeFile,
    running: Running,
    client: Callable[[str], Any],
    make_result: Callable[..., Result],
    until: Until,
    tmp_path: Path,
) -> None:
    running.start(file("c1"))
    outbox.put(make_result(1))
    until(lambda: outbox.count() == 0)
    acks = client(f"{ROOT}/result/ack")
    future = json.loads(to_json(make_result(7))) | {"schema": "edgeflow/result/2"}
    acks.publish(f"{ROOT}/result", json.dumps(future).encode())
    acks.publish(f"{ROOT}/result", b"\xff\xfe no json")
    acks.wait(lambda: any("r-7" in text for text in acks.payloads("ack")))
    outbox.put(make_result(2))
    until(lambda: outbox.count() == 0)
    running.end("c1")
    path = str(tmp_path / "c1.yaml")
    said = CliRunner().invoke(collect, [path, "--set-aside"]).output
    assert "a newer edgeflow made it (schema edgeflow/result/2)" in said
    assert "not JSON" in said
    assert "2 messages are set aside" in CliRunner().invoke(collect, [path, "--status"]).output
    again = json.loads(CliRunner().invoke(collect, [path, "--retry-set-aside", "--json"]).output)
    assert again == {"taken": 0, "stay": 2}


def test_another_group_stands_by_until_the_first_has_ended(
    outbox: Outbox,
    file: MakeFile,
    running: Running,
    make_result: Callable[..., Result],
    until: Until,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    running.start(file("c1"))
    outbox.put(make_result(1))
    until(lambda: outbox.count() == 0)
    running.start(file("c2", group="quality"))
    until(lambda: "stands by: collector 'c1' of group 'collector'" in caplog.text)
    outbox.put(make_result(2))
    until(lambda: outbox.count() == 0)
    assert (ids(tmp_path / "c1.db"), ids(tmp_path / "c2.db")) == (["r-1", "r-2"], [])
    running.end("c1")
    outbox.put(make_result(3))
    until(lambda: outbox.count() == 0)
    assert ids(tmp_path / "c2.db") == ["r-3"]


def test_a_program_that_acknowledges_beside_the_collector_is_told(
    file: MakeFile,
    running: Running,
    client: Callable[[str], Any],
    until: Until,
    caplog: pytest.LogCaptureFixture,
) -> None:
    port = _free_port()
    running.start(file("c1", metrics={"listen": f"127.0.0.1:{port}"}))
    until(lambda: "edgeflow_collector_collecting 1.0" in _page(port))
    other = client("nothing")

    def told() -> bool:
        other.publish(f"{ROOT}/result/ack", b'{"schema": "edgeflow/ack/1", "result_ids": ["r-1"]}')
        return f"a program that is no collector acknowledges results ({ROOT})" in caplog.text

    until(told)
    assert "edgeflow_collector_other_consumers 1.0" in _page(port)


def test_a_collector_in_its_own_process_ends_with_sigterm_and_leaves_no_registration(
    file: MakeFile, client: Callable[[str], Any], tmp_path: Path
) -> None:
    watching = client("edgeflow/collector/+/+")
    command = [sys.executable, "-m", "edgeflow.cli", "collect", str(file("c1")), "--json"]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["collector"] == "c1"
        watching.wait(lambda: any('"collecting"' in text for text in watching.payloads("c1")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 0, (tmp_path / "log").read_text()
    watching.wait(lambda: watching.payloads("c1")[-1] == "")


def test_a_killed_collector_is_replaced_without_loss(
    outbox: Outbox,
    file: MakeFile,
    running: Running,
    make_result: Callable[..., Result],
    until: Until,
    tmp_path: Path,
) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    path = file("c1", batch={"max_ms": 1, "max_rows": 1})
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli", "collect", str(path)],
        stdout=subprocess.DEVNULL,
        env=environment,
    )
    for number in range(300):
        outbox.put(make_result(number))
    until(lambda: len(ids(tmp_path / "c1.db")) > 10)
    process.kill()
    process.wait()
    assert outbox.count() > 0
    running.start(path)
    until(lambda: outbox.count() == 0)
    assert ids(tmp_path / "c1.db") == sorted(f"r-{number}" for number in range(300))


def _free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _page(port: int) -> str:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            text: str = page.read().decode()
    except OSError:
        return ""
    return text
