"""A running box is commanded, from its own computer and over a real broker, and attacked; it goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeflow.contracts.images import read_image
from edgeflow.contracts.messages import shipped_schema
from edgeflow.contracts.sealing import Secret, seal
from faults.bundle_swap_kills import kill_again_and_again
from faults.command_attacks import HUGE, Attacker, attacks, command
from simulators.product_box import write_product_box
from simulators.small_box import ROOT, ctl, start_box, write_box
from simulators.small_bundle import colour_mean, small_bundle

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

Clients = Callable[[str], "Client"]
Boxes = Callable[..., "subprocess.Popen[str]"]
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def box(tmp_path: Path, until: Until) -> Iterator[Boxes]:
    """A factory of running boxes."""
    started: list[subprocess.Popen[str]] = []

    def run(path: Path) -> subprocess.Popen[str]:
        started.append(start_box(path))
        process = started[-1]
        for line in iter(process.stdout.readline, "") if process.stdout else ():
            if '"result_id"' in line:  # the first part
                return process
        raise AssertionError(process.communicate()[1])

    yield run
    for process in started:
        process.terminate()
        process.communicate(timeout=120)


def done(path: Path, *words: str) -> str:
    answer = ctl(path, *words)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def status(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(done(path, "status", "--json"))
    return found


def test_a_box_without_any_broker_is_commanded_from_its_own_computer(tmp_path: Path, box: Boxes) -> None:
    path = write_box(tmp_path, 1)
    assert ctl(path, "status").returncode == 6  # no box runs
    process = box(path)
    assert (tmp_path / "state" / "outbox.sock").stat().st_mode & 0o777 == 0o660
    assert "Ready" in done(path, "stop")
    assert status(path)["state"] == "Ready"
    done(path, "start")
    done(path, "snapshot")
    assert "version 2" in done(path, "reload", "bundle=two.bundle")
    assert (tmp_path / "bundles" / "current.bundle").readlink() == Path("two.bundle")
    older = ctl(path, "reload", "bundle=one.bundle")
    assert (older.returncode, "older than version 2" in older.stdout) == (5, True)
    assert "version 1" in done(path, "rollback")
    assert status(path)["bundle"]["version"] == 1
    assert ctl(path, "recalibrate").returncode == 2
    trail = [json.loads(line) for line in done(path, "audit", "--json").splitlines()]
    assert [record["verb"] for record in trail if record["outcome"] == "done"] == [
        "stop", "start", "snapshot", "reload", "rollback",
    ]  # fmt: skip
    assert all(record["source"].startswith("local uid") for record in trail)
    second = start_and_end(path)
    assert second.returncode == 6
    assert "another process uses it" in second.stderr
    assert status(path)["state"] == "ContinuousExecution"
    process.terminate()
    out, _ = process.communicate(timeout=120)
    kept = [json.loads(line) for line in out.splitlines() if '"evidence"' in line]
    assert len([record for record in kept if record["evidence"] and record["verdict"] == "OK"]) == 1
    seqs = [record["seq"] for record in kept]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs))), "numbers go on over the change of bundles"
    assert not (tmp_path / "state" / "outbox.sock").exists()


def test_a_box_begins_anew_with_its_file_as_it_is_then(tmp_path: Path, box: Boxes, until: Until) -> None:
    path = write_box(tmp_path, 1)
    process = box(path)
    before, text = status(path), path.read_text()
    path.write_text("no box file")
    assert ctl(path, "restart").returncode != 0
    path.write_text(text)
    assert status(path)["session"] == before["session"]
    path.write_text(text + "# another one\n")
    assert "begins anew by itself" in ctl(path, "restart").stdout

    def of_another_session() -> bool:
        answer = ctl(path, "status", "--json")
        return answer.returncode == 0 and json.loads(answer.stdout)["session"] != before["session"]

    until(of_another_session)
    assert process.poll() is None, "the same process"
    assert status(path)["box_file_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    until(lambda: status(path)["state"] == "ContinuousExecution")


def test_after_going_back_the_box_also_starts_with_the_older_bundle(tmp_path: Path, box: Boxes) -> None:
    path = write_box(tmp_path, 1)
    process = box(path)
    done(path, "reload", "bundle=two.bundle")
    done(path, "rollback")
    process.kill()
    process.communicate()
    box(path)
    assert status(path)["bundle"]["version"] == 1
    assert "version 2" in done(path, "reload", "bundle=two.bundle")


def test_a_bundle_that_does_not_reproduce_its_golden_parts_changes_nothing(
    tmp_path: Path, broker: Broker, client: Clients, box: Boxes
) -> None:
    path = write_box(tmp_path, broker.port)
    watcher = client(f"{ROOT}/#")
    box(path)
    other = colour_mean()
    other.graph.node[1].op_type = "ReduceMax"
    small_bundle(tmp_path / "bundles" / "bad.bundle", version=3, model=other.SerializeToString())
    answer = ctl(path, "reload", "bundle=bad.bundle")
    assert answer.returncode == 3, answer.stdout + answer.stderr
    assert "map error" in answer.stdout
    assert status(path)["bundle"]["version"] == 1
    assert (tmp_path / "bundles" / "current.bundle").readlink() == Path("one.bundle")
    watcher.wait(lambda: bool(watcher.payloads("/alarm/golden_parts")))
    done(path, "reload", "bundle=two.bundle")
    watcher.wait_for("/alarm/golden_parts", "")
    watcher.wait(lambda: len(watcher.payloads("/birth")) >= 2)
    seen = len(watcher.payloads("/result"))
    watcher.wait(lambda: len(watcher.payloads("/result")) > seen + 1)
    births = [json.loads(payload)["bundle"]["sha256"] for payload in watcher.payloads("/birth")]
    assert json.loads(watcher.payloads("/result")[-1])["bundle"]["sha256"] == births[-1] != births[0]


def send(client: Client, document: dict[str, Any], *, response: str = "", correlation: bytes = b"") -> None:
    properties = Properties(PacketTypes.PUBLISH)
    if response:
        properties.ResponseTopic = response
    if correlation:
        properties.CorrelationData = correlation
    topic = f"{ROOT}/cmd/{document['verb']}"
    client.publish(topic, json.dumps(document).encode(), properties=properties)


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_commands_over_the_broker_are_answered_where_and_as_was_asked(
    version: str, tmp_path: Path, broker: Broker, client: Clients, box: Boxes
) -> None:
    path = write_box(tmp_path, broker.port, mqtt={"version": version})
    watcher = client(f"{ROOT}/#")
    box(path)
    send(
        watcher, command(ROOT, "stop", correlation="17"), response=f"{ROOT}/rsp/mes", correlation=b"\x01\x02"
    )
    where = "/rsp/mes" if version == "5" else "/rsp/stop"  # 3.1.1 knows no response topics
    watcher.wait(lambda: bool(watcher.payloads(where)))
    (message,) = [m for m in watcher.messages if m.topic.endswith(where)]
    reply = json.loads(message.payload)
    Draft202012Validator(shipped_schema("reply")).validate(reply)
    assert (reply["outcome"], reply["correlation"]) == ("done", "17")
    assert getattr(message.properties, "CorrelationData", b"") == (b"\x01\x02" if version == "5" else b"")
    states = [json.loads(payload)["state"] for payload in watcher.payloads("/state")]
    assert (
        states == ["PreOperational", "Initialized", "Ready", "ContinuousExecution", "Ready"][-len(states) :]
    )
    stopped = len(watcher.payloads("/decision"))
    time.sleep(1.0)  # five periods
    assert len(watcher.payloads("/decision")) <= stopped + 1
    send(watcher, command(ROOT, "start"))
    watcher.wait(lambda: len(watcher.payloads("/decision")) >= stopped + 3)


def test_every_attack_is_refused_and_the_line_goes_on(tmp_path: Path, broker: Broker, box: Boxes) -> None:
    path = write_box(tmp_path, broker.port)
    process = box(path)
    attacker = Attacker(port=broker.port, root=ROOT)
    findings = [attacker.attack(attack) for attack in attacks(ROOT) if len(attack.payload) < HUGE]
    attacker.client.loop_stop()
    for finding in findings:
        wanted = "refused" if finding.attack.replies else "no reply"
        assert (finding.attack.name, finding.outcome) == (finding.attack.name, wanted)
        assert finding.parts_meanwhile, finding.attack.name
    assert status(path)["state"] == "ContinuousExecution"
    assert status(path)["bundle"]["version"] == 1
    assert process.poll() is None
    trail = [json.loads(line) for line in done(path, "audit", "--json").splitlines()]
    refused = [record for record in trail if record["outcome"] == "refused"]
    assert len(refused) == sum(finding.attack.replies for finding in findings)
    assert not [record for record in trail if record["outcome"] == "done"]


def test_a_retained_and_a_repeated_command_are_carried_out_once_at_most_also_after_a_restart(
    tmp_path: Path, broker: Broker, client: Clients, box: Boxes
) -> None:
    path = write_box(tmp_path, broker.port)
    watcher = client(f"{ROOT}/rsp/#")
    first = box(path)
    again = command(ROOT, "stop")
    for expected in (1, 2):
        send(watcher, again)
        watcher.wait(lambda count=expected: len(watcher.messages) == count)
    kept = command(ROOT, "start")
    watcher.publish(f"{ROOT}/cmd/start", json.dumps(kept).encode(), retain=True)
    watcher.wait(lambda: len(watcher.messages) == 3)
    first.kill()
    first.communicate()
    box(path)
    send(watcher, again)
    watcher.wait(lambda: len(watcher.messages) == 5)
    replies = [json.loads(message.payload) for message in watcher.messages]
    assert [reply["outcome"] for reply in replies] == ["done", "refused", "done", "refused", "refused"]
    assert "retained" in " ".join(reply["text"] for reply in replies[3:])
    assert "has come before" in replies[1]["text"]
    assert "has come before" in " ".join(reply["text"] for reply in replies[3:])


def test_with_issuers_only_what_they_sealed_is_carried_out(
    tmp_path: Path, broker: Broker, client: Clients, box: Boxes
) -> None:
    (tmp_path / "mes.secret").write_text("a secret of this line\n")
    issuers = {"mes": {"secret_file": "mes.secret", "allow": ["stop"]}}
    path = write_box(tmp_path, broker.port, commands={"issuers": issuers})
    watcher = client(f"{ROOT}/rsp/#")
    process = box(path)
    unsealed = command(ROOT, "stop", issuer="mes")
    sealed = command(ROOT, "stop", issuer="mes")
    sealed["signature"] = seal(sealed, b"a secret of this line")
    start = command(ROOT, "start", issuer="mes")
    start["signature"] = seal(start, b"a secret of this line")
    for count, document in enumerate((unsealed, sealed, start), 1):
        send(watcher, document)
        watcher.wait(lambda wanted=count: len(watcher.messages) == wanted)
    replies = [json.loads(message.payload) for message in watcher.messages]
    assert [reply["outcome"] for reply in replies] == ["refused", "done", "refused"]
    assert "not allowed" in replies[2]["text"]
    process.terminate()
    out, err = process.communicate(timeout=120)
    written = out + err + "".join(p.read_text("utf-8", "replace") for p in (tmp_path / "state").iterdir())
    assert "a secret of this line" not in written


def test_a_product_is_chosen_over_mqtt_only_by_whoever_may_and_only_once(
    tmp_path: Path, broker: Broker, client: Clients, box: Boxes
) -> None:
    """Refuse commands that would let parts of one product be judged as another's."""
    secret, private = b"a secret of this line", Ed25519PrivateKey.generate()
    (tmp_path / "mes.secret").write_bytes(secret)
    (tmp_path / "plc.pub.pem").write_bytes(
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    issuers = {
        "mes": {"secret_file": "mes.secret", "allow": ["product"]},
        "plc": {"key": "plc.pub.pem", "allow": ["product"]},
        "shift": {"secret_file": "mes.secret", "allow": ["stop"]},
    }
    path = write_product_box(tmp_path, broker.port, product="A", commands={"issuers": issuers})
    watcher = client(f"{ROOT}/#")

    def asked(name: str, issuer: str, key: Secret | None) -> dict[str, Any]:
        made = command(ROOT, "product", issuer=issuer, arguments={"name": name})
        return made if key is None else made | {"signature": seal(made, key)}

    def reply(number: int) -> tuple[str, str]:
        watcher.wait(lambda: len(watcher.payloads("/rsp/product")) > number)
        found = json.loads(watcher.payloads("/rsp/product")[number])
        return found["outcome"], found["text"]

    def answer(document: dict[str, Any]) -> tuple[str, str]:
        number = len(watcher.payloads("/rsp/product"))
        send(watcher, document)
        return reply(number)

    def products() -> set[str]:
        """Of parts that are triggered from now on; the second one was triggered after its predecessor."""
        seen = len(watcher.payloads("/decision"))
        watcher.wait(lambda: len(watcher.payloads("/decision")) >= seen + 4)
        return {json.loads(payload)["product"] for payload in watcher.payloads("/decision")[seen + 2 :]}

    # Kept by the broker, and well signed: the box gets it when it comes.
    kept = json.dumps(asked("B", "mes", secret)).encode()
    watcher.publish(f"{ROOT}/cmd/product", kept, retain=True)
    box(path)
    outcome, text = reply(0)
    assert (outcome, "retained" in text) == ("refused", True), text

    right = asked("B", "mes", secret)
    for forged in (
        asked("B", "mes", None),
        asked("B", "mes", b"another secret of a line"),
        asked("B", "plc", Ed25519PrivateKey.generate()),
        asked("B", "plc", secret),
        right | {"arguments": {"name": "A"}},
        right | {"command_id": "another"},
    ):
        outcome, text = answer(forged)
        assert (outcome, "not signed" in text) == ("refused", True), text
    assert "not allowed" in answer(asked("B", "shift", secret))[1]
    assert products() == {"A"}

    assert answer(right)[0] == "done"
    assert products() == {"B"}
    assert answer(asked("A", "plc", private))[0] == "done"
    assert products() == {"A"}
    outcome, text = answer(right)
    assert (outcome, "has come before" in text) == ("refused", True)


def test_no_secret_is_written_or_told_anywhere(tmp_path: Path, broker: Broker, client: Clients) -> None:
    program = shutil.which("mosquitto_passwd")
    if program is None:
        pytest.skip("no mosquitto_passwd here")
    secrets = {name: f"never-to-be-seen-{name}" for name in ("password", "seal", "issuer")}
    for name, secret in secrets.items():
        (tmp_path / f"{name}.secret").write_text(secret)
    users = tmp_path / "passwd"
    users.touch()
    subprocess.run([program, "-b", str(users), "box", secrets["password"]], check=True)
    broker.kill()
    # The watcher needs no password, and sees everything.
    broker.settings = f"allow_anonymous true\npassword_file {users}"
    broker.start()
    watcher = client("#")
    mqtt = {
        "username": "box",
        "password_file": "password.secret",
        "seal": {"secret_file": "seal.secret"},
        "home_assistant": {},
    }
    path = write_box(
        tmp_path, broker.port, mqtt=mqtt, commands={"issuers": {"mes": {"secret_file": "issuer.secret"}}}
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeflow.cli", "-vv", "run", str(path), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    watcher.wait(lambda: bool(watcher.payloads("/result")))
    document = command(ROOT, "stop", issuer="mes")
    document["signature"] = seal(document, secrets["issuer"].encode())
    send(watcher, document)
    watcher.wait(lambda: bool(watcher.payloads("/rsp/stop")))
    process.terminate()
    out, err = process.communicate(timeout=120)
    told = b"".join(message.payload + message.topic.encode() for message in watcher.messages)
    kept = b"".join(
        file.read_bytes()
        for file in tmp_path.rglob("*")
        if file.is_file() and file.suffix != ".secret" and file.name != "passwd"
    )
    written = out.encode() + err.encode() + told + kept
    assert json.loads(watcher.payloads("/decision")[-1])["signature"].startswith("hmac-sha256:")
    assert [name for name, secret in secrets.items() if secret.encode() in written] == []


def test_secrets_that_cannot_be_used_are_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "short.secret").write_text("12345")
    issuers = {"a": {"secret_file": "short.secret"}, "b": {"key": "none.pub.pem"}}
    refused = start_and_end(write_box(tmp_path, 1, commands={"issuers": issuers}))
    assert refused.returncode == 2
    assert "commands.issuers.a" in refused.stderr
    assert "commands.issuers.b" in refused.stderr
    assert "12345" not in refused.stderr


def start_and_end(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", "run", str(path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_kept_parts_are_listed_and_shown(tmp_path: Path, box: Boxes) -> None:
    path = write_box(tmp_path, 1, evidence={"save": ["OK"], "max_gb": 1, "max_days": 3})
    box(path).terminate()
    folder = tmp_path / "evidence"

    def evidence(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "edgeflow.cli", "evidence", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    listed = [json.loads(line) for line in evidence("list", str(path), "--json").stdout.splitlines()]
    assert listed
    assert {Path(one["folder"]) for one in listed} <= set(folder.glob("*/*"))
    assert "no part was kept" in evidence("list", str(path), "--verdict", "NG").stdout
    name, picture = listed[0]["result_id"], tmp_path / "overview.png"
    shown = evidence("show", name, str(path), "-o", str(picture))
    assert shown.returncode == 0, shown.stderr
    assert "top: score" in shown.stdout
    assert read_image(picture).shape == (2 * (256 + 28), 512, 3)
    record = json.loads(evidence("show", name, str(path), "--json").stdout)
    assert record["files"] == [
        "evidence.json",
        *(f"{view}{kind}" for view in ("left", "top") for kind in (".png", "_heat.png", "_map.npy")),
    ]
    assert evidence("show", "nobody", str(path)).returncode == 2


def test_a_change_of_bundles_killed_at_its_first_steps_leaves_a_box_that_starts(tmp_path: Path) -> None:
    done = kill_again_and_again(write_box(tmp_path, 1), 2)
    assert {one.version for one in done} <= {1, 2}
    assert sum(one.step > 0 for one in done) == 2
