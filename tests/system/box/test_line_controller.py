"""The reference controller as a process at a real broker: gate, receipts, and a crash in between."""

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
from typing import TYPE_CHECKING

import pytest

from edgeflow.clock import monotonic_ns, utc_text
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import Decision, Result, VerdictName, to_json
from edgeflow.delivery.outbox import open_outbox
from edgeflow.delivery.sender import ResultSender
from edgeflow.mqtt.link import MqttLink

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
    lines, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return [json.loads(line) for line in lines.splitlines()]


def test_the_gate_opens_for_ok_only_and_every_result_is_kept_and_acknowledged(
    controller: Controllers, box_config: Callable[..., BoxConfig], make_result: Results, until: Until,
    client: Callable[[str], Client], tmp_path: Path,
) -> None:  # fmt: skip
    config = box_config()
    outbox, link = open_outbox(config.outbox), MqttLink(config, "s")
    delivery = ResultSender(outbox, link, "consumer")
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
    lines, _ = process.communicate(timeout=120)
    told = [json.loads(line) for line in lines.splitlines()]
    assert [event["kind"] for event in told] == ["open", "reject", "missing", "missing", "missing", "summary"]
    link.stop()


def secured(broker: Broker, folder: Path, *, rights: str = "readwrite") -> list[str]:
    """A broker with a certificate, a user and rights; options of a program that logs in there."""
    programs = [shutil.which(name) for name in ("mosquitto_passwd", "openssl")]
    if None in programs:
        pytest.skip("no mosquitto_passwd or openssl here")
    users, cert, key, acl = (folder / name for name in ("users", "cert.pem", "key.pem", "acl"))
    subprocess.run([str(programs[0]), "-c", "-b", str(users), "plc", "word"], check=True, timeout=120)
    options = (
        "-x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 "
        "-subj /CN=broker -addext subjectAltName=IP:127.0.0.1"
    )
    command = [str(programs[1]), "req", *options.split(), "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    acl.write_text(f"user plc\ntopic {rights} #\n")
    (folder / "word").write_text("word\n")
    broker.kill()
    broker.settings = (
        f"allow_anonymous false\npassword_file {users}\nacl_file {acl}\ncertfile {cert}\nkeyfile {key}"
    )
    broker.start()
    return ["--ca", str(cert), "--username", "plc", "--password-file", str(folder / "word")]


@pytest.mark.parametrize("program", ["monitor", "controller"])
def test_programs_beside_the_box_log_in_as_a_box_does(
    program: str, broker: Broker, box_config: Callable[..., BoxConfig], make_result: Results, until: Until,
    repository: Path, tmp_path: Path,
) -> None:  # fmt: skip
    options = secured(broker, tmp_path)
    tls = {"ca": str(tmp_path / "cert.pem")}
    config = box_config(username="plc", password_file=str(tmp_path / "word"), tls=tls)
    link = MqttLink(config, "s")
    link.start()
    until(lambda: link.connected)
    url = f"mqtts://127.0.0.1:{broker.port}"
    command = {
        "monitor": ["-m", "edgeflow.cli", "monitor", url, "--json", "--count", "1", *options],
        "controller": [
            str(repository / "tools" / "line_controller.py"), url, "--root", ROOT, "--count", "1", *options
        ],
    }[program]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), *filter(None, sys.path)])}
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    payload = to_json(make_result(1))
    number = 0
    while process.poll() is None and number < 600:
        number += 1
        link.publish_decision(decision(number, "OK"))
        link.publish_result(payload, schema="edgeflow/result/1", session="s", seq=1, replayed=False)
        time.sleep(0.05)
    said, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "OK" in said or "open" in said
    assert "word" not in said + errors
    link.stop()


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (("--password-file", "none"), 2, "no such file"),
        (("--username", "stranger"), 2, "refused"),
        (("--ca", "other"), 6, "certificate"),
    ],
)
def test_the_controller_ends_with_an_error_that_names_the_setting(
    change: tuple[str, str], code: int, words: str, broker: Broker, repository: Path, tmp_path: Path
) -> None:
    options = secured(broker, tmp_path)
    other = tmp_path / "elsewhere"
    other.mkdir()
    value = change[1]
    if value == "other":
        value = str(other / "cert.pem")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=x",
             "-keyout", str(other / "key.pem"), "-out", value],
            check=True, capture_output=True, timeout=60,
        )  # fmt: skip
    options[options.index(change[0]) + 1] = value
    program = str(repository / "tools" / "line_controller.py")
    done = subprocess.run(
        [sys.executable, program, f"mqtts://127.0.0.1:{broker.port}", "--root", ROOT, *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(repository), *filter(None, sys.path)])},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "missing" not in done.stdout
