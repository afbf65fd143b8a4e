"""The outbox as a quality engineer handles it: looked at, exported, and delivered by hand."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest

from edgeflow.contracts.messages import Result, VerdictName
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import Limits
from tests.support.waiting import PATIENCE_S

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

BOX = """\
station: {{site: plant1, line: l3, station: s2}}
bundle: current.bundle
trigger: {{source: interval, period_ms: 50}}
cameras: {{top: {{kind: replay, parts: parts}}}}
sync: {{max_skew_ms: 200}}
decision: {{deadline_ms: 5000}}
runtime: {{backend: onnxruntime}}
mqtt: {{host: 127.0.0.1, port: {port}}}
outbox: {{path: outbox.db, confirm: broker}}
"""
GOLDEN = Path(__file__).parents[2] / "golden" / "2026-11-28"
Results = Callable[..., Result]


def edgeflow(folder: Path, *arguments: str, rc: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "outbox", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    assert done.returncode == rc, done.stdout + done.stderr
    return done.stdout if rc == 0 else done.stderr


@pytest.fixture
def folder(tmp_path: Path, broker: Broker, make_result: Results) -> Path:
    """A box whose outbox holds three OK results and one NG, two more having been given up."""
    (tmp_path / "box.yaml").write_text(BOX.format(port=broker.port))
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=4))
    verdicts: tuple[VerdictName, ...] = ("NG", "OK", "OK", "OK", "OK", "OK")
    for number, verdict in enumerate(verdicts):
        outbox.put(make_result(number, verdict))
        assert outbox.flush()
    outbox.close()
    return tmp_path


def test_status_says_what_waits_and_what_was_given_up(folder: Path) -> None:
    told: dict[str, Any] = json.loads(edgeflow(folder, "status", "box.yaml", "--json"))
    assert told["waiting"] == {"NG": 1, "OK": 3}
    (drop,) = told["drops"]
    assert (drop["from"], drop["to"], drop["count"]) == ("r-1", "r-2", 2)
    assert 0 <= told["oldest_age_s"] < 600
    text = edgeflow(folder, "status", "box.yaml")
    assert "1 NG, 3 OK waiting" in text
    assert "given up: 2 results from r-1 to r-2" in text


def test_an_outbox_that_does_not_exist_yet_is_empty(folder: Path) -> None:
    (folder / "outbox.db").unlink()
    assert json.loads(edgeflow(folder, "status", "box.yaml", "--json"))["waiting"] == {}
    assert edgeflow(folder, "export", "box.yaml") == ""


def test_export_writes_json_lines_also_while_a_box_runs(folder: Path) -> None:
    running = Outbox(folder / "outbox.db", Limits(rows=4))
    lines = edgeflow(folder, "export", "box.yaml").splitlines()
    assert [json.loads(line)["result_id"] for line in lines] == ["r-0", "r-3", "r-4", "r-5"]
    told = json.loads(edgeflow(folder, "export", "box.yaml", "-o", "out.jsonl", "--json"))
    assert told["exported"] == 4
    assert (folder / "out.jsonl").read_text().splitlines() == lines
    assert running.count() == 4
    running.close()


def test_flush_delivers_where_no_box_runs(folder: Path, client: Callable[[str], Client]) -> None:
    consumer = client("edgeflow/v1/#")
    told = json.loads(edgeflow(folder, "flush", "box.yaml", "--json"))
    assert told["waiting"] == 0
    consumer.wait(lambda: len(consumer.payloads("/result")) == 4 and bool(consumer.payloads("/dropped")))


def test_flush_tells_of_drops_where_no_result_waits(folder: Path, client: Callable[[str], Client]) -> None:
    outbox = Outbox(folder / "outbox.db", Limits(rows=4))
    outbox.delete(["r-0", "r-3", "r-4", "r-5"])
    assert outbox.flush()
    assert (outbox.count(), outbox.undelivered()) == (0, 1)
    outbox.close()
    consumer = client("edgeflow/v1/#")
    assert json.loads(edgeflow(folder, "flush", "box.yaml", "--json")) == {"delivered": 1, "waiting": 0}
    consumer.wait(lambda: bool(consumer.payloads("/dropped")))
    assert not consumer.payloads("/result")


def test_flush_says_what_hinders(folder: Path, broker: Broker) -> None:
    broker.kill()
    assert "5 messages were not confirmed" in edgeflow(folder, "flush", "box.yaml", "--timeout", "1", rc=6)
    running = Outbox(folder / "outbox.db", Limits(rows=4))
    assert "check the broker" in edgeflow(folder, "flush", "box.yaml", "--timeout", "0.5", rc=6)
    running.close()


def test_results_that_waited_since_before_an_update_go_out_as_they_are(
    folder: Path, client: Callable[[str], Client]
) -> None:
    (folder / "outbox.db").unlink()
    shutil.copy(GOLDEN / "outbox.db", folder / "outbox.db")
    with contextlib.closing(sqlite3.connect(folder / "outbox.db")) as database:
        before = [json.loads(payload) for (payload,) in database.execute("SELECT payload FROM results")]
        database.execute("UPDATE results SET stored_s = ?", (time.time() - 60,))
        database.commit()
    consumer = client("edgeflow/v1/#")
    assert json.loads(edgeflow(folder, "flush", "box.yaml", "--json"))["waiting"] == 0
    consumer.wait(lambda: len(consumer.payloads("/result")) == 4 and bool(consumer.payloads("/dropped")))
    came = {(record := json.loads(payload))["result_id"]: record for payload in consumer.payloads("/result")}
    for record in before:
        if "record_id" not in record:
            delivered = {"replayed", "attempt"}
            assert {key: came[record["result_id"]][key] for key in record if key not in delivered} == {
                key: value for key, value in record.items() if key not in delivered
            }


def test_results_set_aside_are_listed_exported_and_sent_again(
    folder: Path, client: Callable[[str], Client]
) -> None:
    running = Outbox(folder / "outbox.db", Limits(rows=4))
    rows = running.pending(0, 2)
    running.set_aside([row.id for row in rows], "too large for the broker")
    assert running.flush()
    first, _ = json.loads(edgeflow(folder, "aside", "box.yaml", "--json"))
    assert (first["result_id"], first["size"]) == ("r-0", len(rows[0].payload))
    assert "r-3, " in edgeflow(folder, "aside", "box.yaml")
    status = json.loads(edgeflow(folder, "status", "box.yaml", "--json"))
    assert (status["waiting"], status["aside"]) == ({"OK": 2}, 2)
    assert len(edgeflow(folder, "export", "box.yaml").splitlines()) == 2
    (line, _) = edgeflow(folder, "export", "box.yaml", "--aside").splitlines()
    assert json.loads(line)["result_id"] == "r-0"
    heard = threading.Event()
    running.on_stored(lambda _: heard.set())
    assert json.loads(edgeflow(folder, "restore", "box.yaml", str(first["id"]), "--json")) == {"restored": 1}
    assert heard.wait(PATIENCE_S)  # the box's own process notices
    assert running.count() == 3
    assert [row.result_id for row in running.pending(0, 9)] == ["r-4", "r-5", "r-0"]
    assert "not set aside" in edgeflow(folder, "restore", "box.yaml", str(first["id"]), rc=2)
    assert "--all" in edgeflow(folder, "restore", "box.yaml", rc=2)
    running.close()
    assert "1 results are sent again" in edgeflow(folder, "restore", "box.yaml", "--all")
    assert "nothing is set aside" in edgeflow(folder, "aside", "box.yaml")
    consumer = client("edgeflow/v1/#")
    assert json.loads(edgeflow(folder, "flush", "box.yaml", "--json"))["waiting"] == 0
    consumer.wait(lambda: len(consumer.payloads("/result")) == 4)


def test_results_go_out_below_the_station_that_made_them_and_are_confirmed_there(
    tmp_path: Path, broker: Broker, make_result: Results, client: Callable[[str], Client]
) -> None:
    text = BOX.format(port=broker.port).replace("confirm: broker", "confirm: consumer, max_rows: 3")
    (tmp_path / "box.yaml").write_text(text.replace("station: s2", "station: s3"))
    before, now = ("edgeflow/v1/plant1/l3/s2", "edgeflow/v1/plant1/l3/s3")
    for root, numbers in ((before, (0, 1, 2)), (now, (3,))):  # the box moved in between; one result too many
        outbox = Outbox(tmp_path / "outbox.db", Limits(rows=3), root=root)
        for number in numbers:
            outbox.put(make_result(number))
            assert outbox.flush()
        outbox.close()
    consumer = client("edgeflow/v1/#")

    def acknowledge(connection: paho.Client, message: paho.MQTTMessage) -> None:
        root, _, kind = message.topic.rpartition("/")
        if kind in ("result", "dropped"):
            record = json.loads(message.payload)
            ids = [record.get("result_id") or record["record_id"]]
            connection.publish(
                f"{root}/result/ack", json.dumps({"schema": "edgeflow/ack/1", "result_ids": ids}), 1
            )

    consumer.on_message = acknowledge
    assert json.loads(edgeflow(tmp_path, "flush", "box.yaml", "--json"))["waiting"] == 0
    came = {
        json.loads(message.payload).get("result_id", "dropped"): message.topic
        for message in consumer.messages
        if message.topic.endswith(("/result", "/dropped"))
    }
    assert came == {
        "r-1": f"{before}/result",
        "r-2": f"{before}/result",
        "r-3": f"{now}/result",
        "dropped": f"{before}/dropped",
    }


def test_a_file_of_an_earlier_edgeflow_is_read_where_no_box_runs(folder: Path) -> None:
    (folder / "outbox.db").unlink()
    old = sqlite3.connect(folder / "outbox.db")
    old.executescript(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
        "CREATE TABLE results (id INTEGER PRIMARY KEY AUTOINCREMENT, result_id TEXT NOT NULL UNIQUE,"
        " verdict TEXT NOT NULL, worth INTEGER NOT NULL, payload BLOB NOT NULL,"
        " stored_s REAL NOT NULL DEFAULT 0);"
        "CREATE TABLE drops (id INTEGER PRIMARY KEY AUTOINCREMENT, first TEXT NOT NULL, last TEXT NOT NULL,"
        " count INTEGER NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL,"
        " result_ids TEXT NOT NULL DEFAULT '[]', open INTEGER NOT NULL DEFAULT 0);"
        "INSERT INTO meta VALUES ('epoch', 'an-epoch');"
        "INSERT INTO results VALUES (7, 'r-7', 'OK', 0, x'7b7d', 1700000000.0);"
        "PRAGMA user_version = 2;"
    )
    old.close()
    assert json.loads(edgeflow(folder, "status", "box.yaml", "--json"))["waiting"] == {"OK": 1}
    assert edgeflow(folder, "export", "box.yaml") == "{}\n"
    assert "nothing is set aside" in edgeflow(folder, "aside", "box.yaml")
