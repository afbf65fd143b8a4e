"""``edgeflow run`` as the integrator runs it: a process, a real broker, recorded parts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as paho
import pytest
import yaml
from jsonschema import Draft202012Validator

from edgeflow.contracts.datasets.find_parts import find_parts
from edgeflow.contracts.messages import Ack, shipped_schema, to_json
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import Limits
from tests.support.tiny import VIEWS, TinyProduct

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

Clients = Callable[[str], "Client"]

TOPICS = "edgeflow/v1/plant/l1/s1"

_started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def no_box_is_left() -> Iterator[None]:
    """A test that fails ends its boxes too: they would take time from the others."""
    yield
    while _started:
        with _started.pop() as process:
            process.kill()


def box(tiny: TinyProduct, folder: Path, port: int, **changes: dict[str, Any]) -> Path:
    """A box file for the tiny product with replay cameras."""
    document: dict[str, Any] = {
        "station": {"site": "plant", "line": "l1", "station": "s1"},
        "bundle": str(tiny.bundle),
        "trigger": {"source": "interval", "period_ms": 60, "timeout_ms": 1000},
        "cameras": {view: {"kind": "replay", "parts": str(tiny.parts)} for view in VIEWS},
        "sync": {"max_skew_ms": 500},
        "decision": {"deadline_ms": 10_000},
        "runtime": {"backend": "openvino", "precision": "int8"},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "outbox": {"path": "outbox.db", "confirm": "consumer"},
        "evidence": {"dir": "evidence", "min_free_gb": 0},
    }
    for key, change in changes.items():
        document[key] = {**document[key], **change}
    path = folder / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def start(path: Path, *options: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli", "run", str(path), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    _started.append(process)
    return process


def run(path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    process = start(path, *options)
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def acknowledge(client: paho.Client, message: paho.MQTTMessage) -> None:
    if message.topic == f"{TOPICS}/result":
        result_id = json.loads(message.payload)["result_id"]
        client.publish(f"{TOPICS}/result/ack", to_json(Ack(result_ids=(result_id,))), 1)


@pytest.fixture
def consumer(client: Clients) -> Client:
    """Sees everything, acknowledges every result."""
    made = client(f"{TOPICS}/#")
    made.on_message = acknowledge
    return made


def wait_for_results(client: Client, count: int) -> None:
    client.wait(lambda: len(client.payloads("/result")) >= count)


def records(client: Client, kind: str) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in client.payloads(f"/{kind}")]


@pytest.mark.parametrize("backend", ["openvino", "onnxruntime"])
def test_every_part_gets_one_decision_and_one_result_in_order(
    tiny: TinyProduct, tmp_path: Path, broker: Broker, consumer: Client, backend: str
) -> None:
    path = box(tiny, tmp_path, broker.port, runtime={"backend": backend})
    done = run(path, "--json")
    assert done.returncode == 0, done.stderr
    expected = [part.part_id for part in find_parts(tiny.parts)]
    consumer.wait_for("/availability", "stopped")
    decisions, results = records(consumer, "decision"), records(consumer, "result")
    assert [message["part_id"] for message in decisions] == expected
    assert [message["part_id"] for message in results] == expected
    assert [message["seq"] for message in results] == list(range(1, len(expected) + 1))
    for kind, messages in (("decision", decisions), ("result", results)):
        validator = Draft202012Validator(shipped_schema(kind))
        for message in messages:
            validator.validate(message)
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["verdict"] for line in printed[:-1]] == [message["verdict"] for message in results]
    assert printed[-1] == {
        "parts": len(expected),
        "verdicts": {v: sum(m["verdict"] == v for m in results) for v in ("OK", "NG")},
        "results_waiting": 0,
    }
    assert all(m["verdict"] == "NG" for m in results if m["part_id"].startswith("spot"))


def test_triggers_over_mqtt_name_the_parts_from_trigger_to_verdict(
    tiny: TinyProduct, tmp_path: Path, broker: Broker, consumer: Client, client: Clients
) -> None:
    line = client("unused")
    stale = json.dumps({"trigger_id": "old", "part_id": "old"}).encode()
    line.publish(f"{TOPICS}/trigger", stale, retain=True)
    path = box(tiny, tmp_path, broker.port)
    path.write_text(path.read_text().replace("source: interval", "source: mqtt").replace("period_ms: 60", ""))

    def trigger(trigger_id: str, part_id: str) -> bytes:
        message = {"schema": "edgeflow/trigger/1", "trigger_id": trigger_id, "part_id": part_id}
        return json.dumps(message).encode()

    def begin(client: paho.Client, message: paho.MQTTMessage) -> None:
        acknowledge(client, message)
        if message.topic == f"{TOPICS}/state" and json.loads(message.payload)["ready"]:
            client.publish(f"{TOPICS}/trigger", trigger("t1", "a"), 1)  # at once: ready is ready

    consumer.on_message = begin
    process = start(path, "--json")
    consumer.wait(lambda: len(consumer.payloads("/decision")) == 1)
    for trigger_id, part_id in (("t2", "b"), ("t2", "b"), ("t3", "a"), ("t4", "c")):
        line.publish(f"{TOPICS}/trigger", trigger(trigger_id, part_id))
    wait_for_results(consumer, 3)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    results = records(consumer, "result")
    assert [(m["trigger_id"], m["part_id"]) for m in results] == [("t1", "a"), ("t2", "b"), ("t4", "c")]
    assert [m["part_id"] for m in records(consumer, "decision")] == ["a", "b", "c"]
    assert [json.loads(line)["part_id"] for line in out.splitlines()[:-1]] == ["a", "b", "c"]
    assert "'old': retained" in err
    assert "part 'a' was triggered by 't1'" in err
    consumer.wait(lambda: any(m.topic.endswith("/alarm/trigger_refused") for m in consumer.messages))


def test_states_birth_and_camera_statuses_are_retained(
    tiny: TinyProduct, tmp_path: Path, broker: Broker, client: Clients
) -> None:
    assert run(box(tiny, tmp_path, broker.port), "--once").returncode == 0
    late = client(f"{TOPICS}/#")
    late.wait(lambda: len(late.messages) >= 3 + len(VIEWS))
    assert all(message.retain for message in late.messages)
    assert late.payloads("/availability") == ["stopped"]
    (state,) = records(late, "state")
    assert (state["state"], state["detail"]) == ("Halted", "stopped")
    (birth,) = records(late, "birth")
    assert [camera["view"] for camera in birth["cameras"]] == list(VIEWS)
    assert birth["session"] == state["session"]
    for kind, message in (("state", state), ("birth", birth)):
        Draft202012Validator(shipped_schema(kind)).validate(message)


def test_sigterm_finishes_the_part_in_hand_and_exits_with_0(
    tiny: TinyProduct, tmp_path: Path, broker: Broker, consumer: Client
) -> None:
    cameras = {view: {"kind": "replay", "parts": str(tiny.parts), "loop": True} for view in VIEWS}
    process = start(box(tiny, tmp_path, broker.port, cameras=cameras))
    consumer.wait(lambda: len(consumer.payloads("/result")) >= 5)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    consumer.wait_for("/availability", "stopped")
    decisions, results = records(consumer, "decision"), records(consumer, "result")
    assert [m["result_id"] for m in decisions] == [m["result_id"] for m in results]
    assert f"stopped after {len(results)} parts" in out
    assert records(consumer, "state")[-1]["detail"] == "stopped"


def test_once_inspects_one_part(tiny: TinyProduct, tmp_path: Path, broker: Broker, consumer: Client) -> None:
    assert run(box(tiny, tmp_path, broker.port), "--once").returncode == 0
    consumer.wait_for("/availability", "stopped")
    assert len(records(consumer, "decision")) == len(records(consumer, "result")) == 1


def test_broker_killed_in_mid_run_loses_no_result(
    tiny: TinyProduct, tmp_path: Path, broker: Broker, consumer: Client
) -> None:
    path = box(tiny, tmp_path, broker.port, trigger={"period_ms": 100})
    process = start(path)
    for wanted in (8, 16):
        wait_for_results(consumer, wanted)
        broker.kill()
        time.sleep(0.5)  # the line goes on without a broker
        broker.start()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    expected = {part.part_id for part in find_parts(tiny.parts)}
    consumer.wait(lambda: {m["part_id"] for m in records(consumer, "result")} == expected)
    seqs = [m["seq"] for m in records(consumer, "decision")]
    assert seqs == sorted(set(seqs)), "a decision was sent twice, or late"


def test_without_a_broker_the_line_runs_and_results_wait(tiny: TinyProduct, tmp_path: Path) -> None:
    path = box(tiny, tmp_path, 1)  # nobody listens on port 1
    done = run(path)
    parts = len(find_parts(tiny.parts))
    assert done.returncode == 0, done.stderr
    assert f"{parts} results wait in the outbox" in done.stdout
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=1000))
    assert outbox.count() == parts
    outbox.close()


def test_results_that_waited_go_out_at_the_next_start(
    tiny: TinyProduct, tmp_path: Path, broker: Broker, consumer: Client
) -> None:
    assert run(box(tiny, tmp_path, 1)).returncode == 0
    assert run(box(tiny, tmp_path, broker.port), "--once").returncode == 0
    consumer.wait_for("/availability", "stopped")
    replayed = [m["part_id"] for m in records(consumer, "result") if m["replayed"]]
    # On a busy machine some may come twice: a consumer tells copies by their names.
    assert list(dict.fromkeys(replayed)) == [part.part_id for part in find_parts(tiny.parts)]
    assert len(records(consumer, "decision")) == 1, "decisions are never replayed"


def test_evidence_of_rejected_parts_is_kept(tiny: TinyProduct, tmp_path: Path, broker: Broker) -> None:
    done = run(box(tiny, tmp_path, broker.port), "--json")
    rejected = [m for m in map(json.loads, done.stdout.splitlines()[:-1]) if m["verdict"] != "OK"]
    assert rejected
    for message in rejected:
        folder = Path(message["evidence"])
        names = {path.name for path in folder.iterdir()}
        assert names == {f"{v}{kind}" for v in VIEWS for kind in (".png", "_heat.png", "_map.npy")} | {
            "result.json",
            "evidence.json",
        }
        kept = json.loads((folder / "result.json").read_bytes())
        assert kept["result_id"] == message["result_id"]
        record = json.loads((folder / "evidence.json").read_bytes())
        for place in (message, kept, record):
            assert [place[key] for key in ("site", "line", "station", "box")] == [
                "plant", "l1", "s1", "edgeflow-plant-l1-s1",
            ]  # fmt: skip
    assert len(list((tmp_path / "evidence").glob("*/*"))) == len(rejected)


def test_damaged_image_makes_its_part_undecided_and_the_line_goes_on(
    tiny: TinyProduct, tmp_path: Path, broker: Broker
) -> None:
    parts = tmp_path / "parts"
    shutil.copytree(tiny.parts, parts)
    victim = find_parts(parts)[2]
    victim.images["C2"].write_bytes(b"no image")
    cameras = {view: {"kind": "replay", "parts": str(parts)} for view in VIEWS}
    patient = {"trigger": {"timeout_ms": 5000}, "sync": {"max_skew_ms": 5000}}  # also on a busy machine
    done = run(box(tiny, tmp_path, broker.port, cameras=cameras, **patient), "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert lines[2]["verdict"] == "UNDECIDED"
    assert "C2" in lines[2]["reason"]
    assert sum(line.get("verdict") == "UNDECIDED" for line in lines) == 1
    assert len(lines) == 1 + len(find_parts(parts))


def test_a_missing_view_is_decided_by_the_others_where_the_box_allows_it(
    tiny: TinyProduct, tmp_path: Path, broker: Broker
) -> None:
    parts = tmp_path / "parts"
    shutil.copytree(tiny.parts, parts)
    for part in find_parts(parts):
        part.images["C3"].write_bytes(b"no image")
    cameras = {view: {"kind": "replay", "parts": str(parts)} for view in VIEWS}
    patient = {"trigger": {"timeout_ms": 5000, "period_ms": 200}}
    sync = {"max_skew_ms": 5000, "on_missing": "degraded", "min_views": 2}
    done = run(box(tiny, tmp_path, broker.port, cameras=cameras, sync=sync, **patient), "--json")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    decided = [line for line in lines if not line["reason"].startswith("overrun")]
    assert len(decided) > len(lines) // 2
    assert all("degraded, missing views: C3" in line["reason"] for line in decided)
    assert all([view["score"] is None for view in line["views"]] == [False, False, True] for line in decided)
    for line in decided:
        assert line["verdict"] == ("NG" if line["score"] > 1 else "OK")
        assert {path.name for path in Path(line["evidence"] or tmp_path / "evidence").iterdir()} >= (
            {"C1.png", "C2.png"} if line["evidence"] else set()
        )
    assert {line["verdict"] for line in decided if line["part_id"].startswith("spot")} == {"NG"}, (
        "the defects are in C2, which is there"
    )


def test_deadline_that_cannot_be_kept_is_never_ok(tiny: TinyProduct, tmp_path: Path, broker: Broker) -> None:
    done = run(box(tiny, tmp_path, broker.port, decision={"deadline_ms": 0.001}), "--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert {line["verdict"] for line in lines} <= {"UNDECIDED", "NG"}
    assert not any(line["deadline"]["met"] for line in lines)


def test_missing_bundle(tiny: TinyProduct, tmp_path: Path) -> None:
    done = run(box(tiny, tmp_path, 1), "--set", "bundle=none.bundle")
    assert_refused(done, 2, "none.bundle", "edgeflow export")


def test_damaged_bundle(tiny: TinyProduct, tmp_path: Path) -> None:
    data = bytearray(tiny.bundle.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "damaged.bundle").write_bytes(data)
    done = run(box(tiny, tmp_path, 1), "--set", "bundle=damaged.bundle")
    assert_refused(done, 5, "damaged.bundle", "copy the bundle again")


def test_camera_for_a_view_that_the_bundle_does_not_know(tiny: TinyProduct, tmp_path: Path) -> None:
    path = box(tiny, tmp_path, 1, cameras={"C9": {"kind": "replay", "parts": str(tiny.parts)}})
    assert_refused(run(path), 2, "cameras.C9", "C1, C2, C3")


def test_all_cameras_that_cannot_be_opened_are_named(
    tiny: TinyProduct, tmp_path: Path, broker: Broker, client: Clients
) -> None:
    missing = {v: {"kind": "replay", "parts": str(tmp_path / "nowhere")} for v in ("C1", "C3")}
    done = run(box(tiny, tmp_path, broker.port, cameras=missing))
    assert_refused(done, 6, "C1", "C3", "nowhere")
    late = client(f"{TOPICS}/#")
    late.wait(lambda: len(late.payloads("/state")) == 1)
    (state,) = records(late, "state")
    assert state["state"] == "Error"
    assert "cannot be opened" in state["detail"]


def test_swapped_cameras_are_named_before_the_line_is_ready(
    repository: Path, tmp_path: Path, broker: Broker, client: Clients
) -> None:
    demo = repository / "tools" / "demo"
    document = yaml.safe_load((demo / "box.yaml").read_text())
    for camera in document["cameras"].values():
        camera["parts"] = str(demo / "parts")
    document["cameras"]["C1"]["view"], document["cameras"]["C3"]["view"] = "C3", "C1"
    document |= {
        "bundle": str(demo / "housing.bundle"),
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "outbox": {"path": "outbox.db"},
        "evidence": {"dir": "evidence"},
    }
    path = tmp_path / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    watcher = client("edgeflow/v1/demo/l1/s1/state")
    assert_refused(run(path), 6, "cameras are swapped", "'C1' shows view 'C3'", "exchange their cables")
    watcher.wait(lambda: any(state["state"] == "Error" for state in records(watcher, "state")))
    assert not any(state["ready"] for state in records(watcher, "state"))
    done = run(path, "--once", "--set", "views.at_start=alarm")
    assert done.returncode == 0, done.stderr
    assert "alarm camera_swapped" in done.stderr


def test_misspelt_key_and_wrong_type_are_reported_together(tiny: TinyProduct, tmp_path: Path) -> None:
    path = box(tiny, tmp_path, 1)
    path.write_text(path.read_text() + "evidense: {dir: x}\n")
    done = run(path, "--set", "mqtt.port='1883'")
    assert_refused(done, 2, "evidense", "did you mean 'evidence'?", "mqtt.port")


def assert_refused(done: subprocess.CompletedProcess[str], code: int, *texts: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for text in texts:
        assert text in done.stderr
