"""The files for PLCs: topics and names that exist, and a Node-RED flow that decides as the reference does."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgeflow.contracts.messages import MESSAGES, AlarmCode
from edgeflow.contracts.topics import Topics

ROOT = "edgeflow/v1/plant1/l3/s2"
NODES = {"tab", "mqtt-broker", "mqtt in", "mqtt out", "inject", "function", "debug", "status", "file"}


@pytest.fixture
def flow(repository: Path) -> dict[str, dict[str, Any]]:
    nodes = json.loads((repository / "firmware_configs" / "plc" / "node-red-flow.json").read_text("utf-8"))
    return {node["id"]: node for node in nodes}


def test_the_page_names_only_what_exists(repository: Path) -> None:
    page = (repository / "firmware_configs" / "plc" / "README.md").read_text("utf-8")
    schemas = {str(model.model_fields["schema_"].default) for model in MESSAGES.values()}
    assert set(re.findall(r"edgeflow/[a-z-]+/1", page)) <= schemas
    topics = Topics(root=ROOT)
    for name in ("trigger", "decision", "availability", "result", "dropped"):
        assert f"| `{name}` |" in page
        assert getattr(topics, name) == f"{ROOT}/{name}"
    for code in re.findall(r"`alarm/(\w+)`", page):
        assert code in AlarmCode.__args__  # type: ignore[attr-defined]
    for file in re.findall(r"`((?:tools|firmware_configs)/[\w/.]+)`", page):
        assert (repository / file).exists(), file


def test_the_flow_is_whole(flow: dict[str, dict[str, Any]]) -> None:
    assert {node["type"] for node in flow.values()} == NODES
    for node in flow.values():
        targets = [target for output in node.get("wires", []) for target in output]
        assert set(targets) <= set(flow), node["id"]
        assert len(node.get("wires", [])) in (0, node.get("outputs", 1))
    heard = {node["topic"] for node in flow.values() if node["type"] == "mqtt in"}
    topics = Topics(root=ROOT)
    assert heard == {topics.decision, topics.availability, topics.result, topics.dropped}
    sources = " ".join(node.get("func", "") for node in flow.values())
    assert topics.result_ack in sources
    assert f'"{topics.trigger}"' in sources


SCENE = """
const memory = {};
const flow = { get: (k) => memory[k], set: (k, v) => { memory[k] = v; } };
const sent = [];
const node = { send: (m) => sent.push(m) };
let clock = 1000000;
Date.now = () => clock;
const gate = new Function("msg", "flow", "node", SOURCE);
const step = (topic, payload) => {
    const m = gate({ topic: topic, payload: payload }, flow, node);
    if (m) sent.push(m);
};
const say = (id, verdict) => step("r/decision",
    { trigger_id: id, verdict: verdict, valid_until: new Date(clock + 500).toISOString() });
step("expect", "offline"); say("offline", "OK");
step("r/availability", "online");
step("expect", "good"); clock += 100; say("good", "OK"); say("good", "OK");
step("expect", "bad"); say("bad", "NG");
step("expect", "unsure"); say("unsure", "UNDECIDED");
say("stranger", "OK");
step("expect", "silent"); clock += 501; step("tick"); say("silent", "OK");
step("expect", "slow"); clock += 501; say("slow", "OK");
step("own/availability", "offline");
step("expect", "alone"); say("alone", "OK");
console.log(JSON.stringify(sent.map((m) => [m.part, m.payload, m.why])));
"""


def test_the_flows_gate_rejects_all_but_a_valid_ok_in_time(flow: dict[str, dict[str, Any]]) -> None:
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node here to run the flow's function")
    script = f"const SOURCE = {json.dumps(flow['gate']['func'])};{SCENE}"
    done = subprocess.run([program, "-e", script], capture_output=True, text=True, check=True, timeout=120)
    assert json.loads(done.stdout) == [
        ["offline", "reject", "OK"],
        ["good", "open", ""],
        ["good", "none", "duplicate"],
        ["bad", "reject", "NG"],
        ["unsure", "reject", "UNDECIDED"],
        ["stranger", "reject", "not expected"],
        ["silent", "reject", "missing"],
        ["silent", "none", "late"],
        ["slow", "reject", "late"],
        ["alone", "reject", "OK"],
    ]


def test_the_flow_confirms_results_and_records_of_drops(flow: dict[str, dict[str, Any]]) -> None:
    program = shutil.which("node")
    if program is None:
        pytest.skip("no node here to run the flow's function")
    script = (
        f"const f = new Function('msg', {json.dumps(flow['ack']['func'])});"
        "console.log(JSON.stringify([{result_id: 'r'}, {record_id: 'd'}, {}].map((p) => f({payload: p}))));"
    )
    done = subprocess.run([program, "-e", script], capture_output=True, text=True, check=True, timeout=120)
    result, dropped, nothing = json.loads(done.stdout)
    assert json.loads(result["payload"])["result_ids"] == ["r"]
    assert json.loads(dropped["payload"])["result_ids"] == ["d"]
    assert nothing is None
