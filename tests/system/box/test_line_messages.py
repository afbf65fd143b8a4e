"""A line that speaks to a box as controllers do, over a real broker: from the trigger to the record."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from edgeflow.contracts.messages import shipped_schema
from edgeflow.contracts.sealing import is_sealed
from simulators.small_box import ROOT, ctl, start_box, write_box

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

SECRET = b"a secret of this line, long enough"
GOLDEN = Path(__file__).parents[2] / "golden" / "2026-11-28" / "schemas"


@pytest.fixture
def box(tmp_path: Path, broker: Broker) -> Iterator[Path]:
    """A running box that is triggered over MQTT and signs its decisions."""
    (tmp_path / "secret").write_bytes(SECRET)
    path = write_box(
        tmp_path,
        broker.port,
        trigger={"source": "mqtt", "timeout_ms": 2000},
        mqtt={"seal": {"secret_file": "secret"}},
        views={"at_start": "off", "watch": False},
    )
    document = yaml.safe_load(path.read_text())
    del document["trigger"]["period_ms"]
    path.write_text(yaml.safe_dump(document))
    with (tmp_path / "out.txt").open("w") as out:
        process: subprocess.Popen[str] = start_box(path, out=out)
        yield path
        process.terminate()
        process.wait(120)


def opened(schema: Any) -> Any:
    """A schema that allows what it does not know, as readers of an earlier day have it."""
    if isinstance(schema, list):
        return [opened(item) for item in schema]
    if isinstance(schema, dict):
        return {k: opened(v) for k, v in schema.items() if (k, v) != ("additionalProperties", False)}
    return schema


def test_what_the_line_says_comes_back_with_the_verdict_and_every_message_is_what_schemas_promise(
    box: Path, client: Callable[[str], Client]
) -> None:
    line = client(f"{ROOT}/#")

    def seen(kind: str) -> list[dict[str, Any]]:
        return [json.loads(payload) for payload in line.payloads(f"/{kind}")]

    line.wait(lambda: any(state["ready"] for state in seen("state")))
    for payload in (
        '{"trigger_id": 17, "part_id": 4711.0, "at": "2026-11-28T14:00:00+01:00", "order": "A-7", "w": 1.50}',
        '{"trigger_id": 17.0, "part_id": "4711", "at": "2026-11-28T13:00:00Z"}',
        '{"trigger_id": "18", "encoder": "120.0", "Part_ID": "x"}\0\0\0',
        '{"trigger_id": "19", "at": "yesterday", "order": "A-8"}',
    ):
        line.publish(f"{ROOT}/trigger", payload.encode())
    line.wait(lambda: len(seen("result")) == 3)

    decisions = seen("decision")
    assert [(d["trigger_id"], d["reason_code"], d["context"]) for d in decisions] == [
        ("17", "ok", {"order": "A-7", "w": 1.5}), ("18", "ok", None),
        ("19", "trigger_refused", {"order": "A-8"}),
    ]  # fmt: skip
    assert (decisions[0]["part_id"], decisions[2]["part_id"]) == ("4711", "19")
    assert "at: expected a time of RFC 3339" in decisions[2]["reason"]
    for decision in decisions:
        assert is_sealed(decision, SECRET)
    assert not is_sealed({**decisions[0], "context": {"order": "A-8", "w": 1.5}}, SECRET)

    results = seen("result")
    assert [(r["reason_code"], r["context"], r["encoder"]) for r in results] == [
        ("ok", {"order": "A-7", "w": 1.5}, None), ("ok", None, 120),
        ("trigger_refused", {"order": "A-8"}, None),
    ]  # fmt: skip
    assert {r["threshold"] for r in results} == {1000.0}
    assert {view["threshold"] for r in results for view in r["views"]} == {1000.0}
    assert results[0]["score"] == pytest.approx(results[0]["score_raw"] / results[0]["threshold"])

    for kind in ("decision", "result", "state"):
        today, before = shipped_schema(kind), json.loads((GOLDEN / f"{kind}.json").read_bytes())
        for document in seen(kind):
            Draft202012Validator(today).validate(document)
            Draft202012Validator(opened(before)).validate(document)
    assert all(state["ready"] for state in seen("state") if state["state"] == "Ready")
    assert any(m.topic.endswith("/alarm/trigger_message") for m in line.messages)

    status = json.loads(ctl(box, "status", "--json").stdout)
    assert status["triggers"] == {"accepted": 2, "duplicate": 1, "invalid": 1, "unanswered": 0}
    assert ctl(box, "reset").returncode == 0
    line.publish(f"{ROOT}/trigger", b'{"trigger_id": "20", "encoder": 1}')
    line.wait(lambda: len(seen("decision")) == 4)
    assert seen("decision")[3]["reason_code"] == "ok", "an encoder behind the last one, forgotten by reset"
