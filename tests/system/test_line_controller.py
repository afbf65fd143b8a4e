"""The reference controller as a process at a real broker: gate, receipts, and a crash in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeflow.clock import monotonic_ns, utc_text
from edgeflow.config import BoxConfig
from edgeflow.contracts.messages import Decision, Result, VerdictName
from edgeflow.delivery import Delivery
from edgeflow.mqtt import MqttLink
from edgeflow.outbox import open_outbox

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

ROOT = "edgeflow/v1/plant1/l3/s2"
Controllers = Callable[..., "subprocess.Popen[str]"]
Results = Callable[..., Result]
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def controller(broker: Broker, repository: Path) -> Iterator[Controllers]:
    made: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        program = repository / "tools" / "line_controller.py"
        command = [sys.executable, str(program), f"mqtt://127.0.0.1:{broker.port}", "--root", ROOT, *options]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(repository), *filter(None, sys.path)]),
        }
        made.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment))
        return made[-1]

    yield start
    for process in made:
        process.kill()
        process.communicate()


def decision(seq: int, verdict: VerdictName) -> Decision:
    return Decision(
        result_id=f"s-{seq:06d}",
        trigger_id=f"t-{seq}",
        part_id=f"p-{seq}",
        verdict=verdict,
        reason="",
        seq=seq,
        session="s",
        acquired_at=utc_text(),
        valid_until=utc_text(monotonic_ns() + 60_000_000_000),
    )


def numbered(make_result: Results, number: int) -> Result:
    return make_result(number).model_copy(update={"session": "s", "result_id": f"s-{number:06d}"})


def ended(process: subprocess.Popen[str]) -> list[dict[str, object]]:
    process.send_signal(signal.SIGTERM)
    lines, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    return [json.loads(line) for line in lines.splitlines()]


def test_the_gate_opens_for_ok_only_and_every_result_is_kept_and_acknowledged(
    controller: Controllers, box_config: Callable[..., BoxConfig], make_result: Results, until: Until,
    client: Callable[[str], Client], tmp_path: Path,
) -> None:  # fmt: skip
    config = box_config()
    outbox, link = open_outbox(config.outbox), MqttLink(config, "s")
    delivery = Delivery(outbox, link, "consumer")
    link.start()
    delivery.start()
    watcher = client(f"{ROOT}/result/ack")
    process = controller("--results", str(tmp_path / "results.jsonl"))
    for number in range(1, 31):
        outbox.put(numbered(make_result, number))
    watcher.wait(lambda: len(watcher.messages) >= 1)  # it listens
    for seq, verdict in enumerate(("OK", "NG", "UNDECIDED", "OK"), start=1):
        assert link.publish_decision(decision(seq, verdict))  # type: ignore[arg-type]
    until(lambda: outbox.count() == 0)
    process.kill()  # a crash: what is acknowledged is in the file
    process.wait()
    kept = (tmp_path / "results.jsonl").read_text().splitlines()
    assert [json.loads(line)["seq"] for line in kept] == list(range(1, 31))
    again = controller("--results", str(tmp_path / "results.jsonl"))
    assert again.stdout is not None
    for number in (30, 31):
        outbox.put(numbered(make_result, number))
    until(lambda: outbox.count() == 0)
    summary = ended(again)[-1]
    assert (summary["results"], summary["results_again"], summary["results_missing"]) == (31, 1, 0)
    assert len((tmp_path / "results.jsonl").read_text().splitlines()) == 31
    delivery.close(0)
    link.stop()
    outbox.close()


def test_rulings_are_told_and_silence_is_missing(
    controller: Controllers,
    box_config: Callable[..., BoxConfig],
    until: Until,
    client: Callable[[str], Client],
) -> None:
    link = MqttLink(box_config(), "s")
    link.start()
    until(lambda: link.connected)
    watcher = client(f"{ROOT}/trigger")
    process = controller("--trigger-ms", "50", "--count", "5", "--wait-ms", "400")
    watcher.wait(lambda: len(watcher.messages) >= 1)
    for seq, verdict in ((1, "OK"), (2, "NG")):
        watcher.wait(lambda seq=seq: len(watcher.messages) >= seq)  # type: ignore[misc]
        trigger_id = json.loads(watcher.messages[seq - 1].payload)["trigger_id"]
        message = decision(seq, verdict).model_copy(update={"trigger_id": trigger_id})  # type: ignore[arg-type]
        assert link.publish_decision(message)
    lines, _ = process.communicate(timeout=30)
    told = [json.loads(line) for line in lines.splitlines()]
    assert [event["kind"] for event in told] == ["open", "reject", "missing", "missing", "missing", "summary"]
    link.stop()
