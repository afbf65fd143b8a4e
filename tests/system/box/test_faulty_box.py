"""A whole box whose scoring hangs or fails, or a thread of which dies: decided, told, and ended in order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import Limits
from simulators.small_box import ROOT, ctl, write_box

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

Clients = Callable[[str], "Client"]
SCRIPT = Path(__file__).resolve().parents[3] / "tools" / "faults" / "faulty_box.py"
SOON = {"period_ms": 100, "timeout_ms": 2000}
QUIET = {"at_start": "off", "watch": False}


class Systemd:
    """The receiving end of a service manager's socket."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(20)

    def wait_for(self, line: str) -> list[str]:
        """The lines up to and with one that begins so."""
        lines: list[str] = []
        while not any(each.startswith(line) for each in lines):
            lines += self._socket.recv(4096).decode().splitlines()
        return lines

    def falls_silent(self) -> bool:
        """Return True once nothing arrived for 3 s; False if messages still arrive after 20 s."""
        self._socket.settimeout(3)
        until_s = time.monotonic() + 20
        while time.monotonic() < until_s:
            try:
                self._socket.recv(4096)
            except TimeoutError:
                return True
        return False

    def close(self) -> None:
        self._socket.close()

    def waiting(self) -> list[str]:
        """The lines that have come and were not read."""
        lines: list[str] = []
        self._socket.setblocking(False)
        try:
            while True:
                lines += self._socket.recv(4096).decode().splitlines()
        except BlockingIOError:
            return lines
        finally:
            self._socket.settimeout(20)


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    """A service manager that listens."""
    manager = Systemd(tmp_path / "notify")
    yield manager
    manager.close()


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the faulty box of ``box.yaml``; whatever still runs is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(path: Path, fault: str, after: int, **environment: str) -> subprocess.Popen[str]:
        with (tmp_path / "box.log").open("w") as log:
            process = subprocess.Popen(
                [sys.executable, str(SCRIPT), str(path), fault, str(after)],
                stdout=subprocess.DEVNULL, stderr=log, text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
            )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()


def decisions(client: Client) -> list[dict[str, Any]]:
    return [json.loads(payload) for payload in client.payloads("/decision")]


def wait_for_alarm(client: Client, code: str, *, stands: bool = True) -> str:
    """The text of an alarm that stands now; empty once it is over."""

    def now() -> str | None:
        payloads = client.payloads(f"/alarm/{code}")
        return payloads[-1] if payloads else None

    client.wait(lambda: now() is not None and bool(now()) == stands)
    return json.loads(now() or '{"text": ""}')["text"]


def end(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(120)


def last_state(client: Client) -> dict[str, Any]:
    state: dict[str, Any] = json.loads(client.payloads("/state")[-1])
    return state


def assert_each_part_was_decided_once(client: Client) -> None:
    found = decisions(client)
    assert [each["seq"] for each in found] == list(range(1, len(found) + 1))
    triggers = [each["trigger_id"] for each in found]
    assert len(set(triggers)) == len(triggers)


def test_a_box_whose_scoring_hangs_decides_every_part_and_ends_with_6(
    tmp_path: Path, broker: Broker, client: Clients, start: Start, systemd: Systemd
) -> None:
    path = write_box(
        tmp_path, broker.port, trigger=SOON, views=QUIET, decision={"deadline_ms": 400},
        alarms={"scoring_hangs_s": 1.5}, outbox={"confirm": "consumer"},
    )  # fmt: skip
    line = client(f"{ROOT}/#")
    process = start(path, "hang", 10, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="2000000")
    before_ready = systemd.wait_for("READY=1")
    assert any(each.startswith("EXTEND_TIMEOUT_USEC=") for each in before_ready)
    assert not any(each.startswith("WATCHDOG=") for each in before_ready)
    systemd.wait_for("WATCHDOG=1")
    assert "scoring does not answer" in wait_for_alarm(line, "scoring_hangs")
    systemd.waiting()
    count = len(decisions(line))
    line.wait(lambda: len(decisions(line)) >= count + 10)
    assert "WATCHDOG=1" not in systemd.waiting(), "a line that cannot score must not look alive"
    assert json.loads(ctl(path, "status", "--json").stdout)["state"] == "ContinuousExecution"
    assert end(process) == 6
    line.wait_for("/availability", "offline")
    assert line.payloads("/availability")[-1] == "offline"
    state = last_state(line)
    assert (state["state"], state["ready"]) == ("Error", False)
    assert "scoring on device CPU hangs" in state["detail"]
    assert_each_part_was_decided_once(line)
    hung = decisions(line)[10:]
    assert {each["verdict"] for each in hung} == {"UNDECIDED"}
    assert any("scoring has not answered for" in each["reason"] for each in hung)
    outbox = Outbox(tmp_path / "state" / "outbox.db", Limits(rows=10**6, bytes=10**9, age_s=10**9))
    try:
        assert outbox.count() == len(decisions(line)), "every result is on the disk"
    finally:
        outbox.close()


def test_scoring_that_comes_back_goes_on_and_its_late_answer_is_not_told(
    tmp_path: Path, broker: Broker, client: Clients, start: Start
) -> None:
    path = write_box(
        tmp_path, broker.port, trigger=SOON, views=QUIET, decision={"deadline_ms": 400},
        alarms={"scoring_hangs_s": 1.0},
    )  # fmt: skip
    line = client(f"{ROOT}/#")
    process = start(path, "pause", 5)
    wait_for_alarm(line, "scoring_hangs")
    wait_for_alarm(line, "scoring_hangs", stands=False)
    count = len(decisions(line))
    line.wait(lambda: any(each["verdict"] == "OK" for each in decisions(line)[count:]))
    assert end(process) == 0
    line.wait_for("/availability", "stopped")
    assert_each_part_was_decided_once(line)


@pytest.mark.parametrize("fault", ["RuntimeError", "MemoryError", "KeyError", "SystemExit", "DeviceError"])
def test_any_error_of_scoring_costs_its_part_alone(
    tmp_path: Path, broker: Broker, client: Clients, start: Start, fault: str
) -> None:
    path = write_box(tmp_path, broker.port, trigger=SOON, views=QUIET)
    line = client(f"{ROOT}/#")
    process = start(path, fault, 2)
    line.wait(lambda: len(decisions(line)) >= 6)
    text = "device lost" if fault == "DeviceError" else fault
    assert text in wait_for_alarm(line, "scoring_failed")
    assert end(process) == 0
    line.wait_for("/availability", "stopped")
    found = decisions(line)
    assert [each["verdict"] for each in found[:2]] == ["OK", "OK"]
    assert all(each["verdict"] == "UNDECIDED" and text in each["reason"] for each in found[2:])
    assert_each_part_was_decided_once(line)
    assert line.payloads("/state")[-1].count("Halted") == 1


def test_a_dead_thread_ends_the_box_with_1_and_a_true_state(
    tmp_path: Path, broker: Broker, client: Clients, start: Start
) -> None:
    path = write_box(tmp_path, broker.port, trigger=SOON, views=QUIET)
    line = client(f"{ROOT}/#")
    process = start(path, "dead-thread", 3)
    assert process.wait(60) == 1
    line.wait_for("/availability", "offline")
    assert "thread 'output' died: KeyError" in wait_for_alarm(line, "thread_died")
    assert last_state(line)["state"] == "Error"
    assert "thread 'output' died" in last_state(line)["detail"]
    assert "thread 'output' died" in (tmp_path / "box.log").read_text()
    assert_each_part_was_decided_once(line)


def test_a_hang_that_keeps_the_interpreter_gives_the_watchdog_no_sign_of_life(
    tmp_path: Path, broker: Broker, client: Clients, start: Start, systemd: Systemd
) -> None:
    path = write_box(tmp_path, broker.port, trigger=SOON, views=QUIET)
    line = client(f"{ROOT}/#")
    process = start(path, "hang-with-interpreter", 3, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="400000")
    line.wait(lambda: len(decisions(line)) >= 3)
    systemd.wait_for("WATCHDOG=1")
    assert systemd.falls_silent()
    process.kill()  # as the manager does then
    line.wait_for("/availability", "offline")


def test_the_watchdog_waits_longer_while_a_bundle_is_verified_beside_the_line(
    tmp_path: Path, broker: Broker, client: Clients, start: Start, systemd: Systemd
) -> None:
    path = write_box(tmp_path, broker.port, trigger=SOON, views=QUIET)
    line = client(f"{ROOT}/#")
    process = start(path, "pause", 10**9, NOTIFY_SOCKET=str(systemd.path), WATCHDOG_USEC="8000000")
    line.wait(lambda: len(decisions(line)) >= 1)
    systemd.waiting()
    done = ctl(path, "reload", "bundle=two.bundle")
    assert done.returncode == 0, done.stderr
    told = systemd.waiting()
    assert [each for each in told if each.startswith("WATCHDOG_USEC=")] == [
        "WATCHDOG_USEC=32000000", "WATCHDOG_USEC=8000000",
    ]  # fmt: skip
    assert sum(each.startswith("EXTEND_TIMEOUT_USEC=") for each in told) == 1
    systemd.wait_for("WATCHDOG=1")
    process.send_signal(signal.SIGTERM)
    systemd.wait_for("STOPPING=1")
    assert process.wait(120) == 0


def test_a_line_without_parts_and_a_flapping_connection_are_alarms(
    tmp_path: Path, broker: Broker, client: Clients, start: Start
) -> None:
    bounds = {"no_part_s": 1.0, "connections": 3, "connections_min": 60.0}
    path = write_box(
        tmp_path, broker.port, views=QUIET, alarms=bounds, trigger={"source": "mqtt", "period_ms": None}
    )
    line = client(f"{ROOT}/#")
    process = start(path, "pause", 10**9)
    assert "no part came for 1 s" in wait_for_alarm(line, "no_part")
    for _ in range(2):
        heard = len(line.payloads("/birth"))
        broker.kill()
        broker.start()
        line.wait(lambda heard=heard: len(line.payloads("/birth")) > heard)
    assert "3 connections to the broker or more" in wait_for_alarm(line, "connection_flapping")
    assert end(process) == 0
