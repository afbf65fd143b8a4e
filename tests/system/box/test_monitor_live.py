"""The watcher at a real broker: what it prints, how it ends, what it says when it cannot connect."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from edgeflow.cli.monitor import run_monitor
from edgeflow.contracts.messages import Result, to_json
from edgeflow.errors import ConfigError, HardwareError

if TYPE_CHECKING:
    from tests.system.conftest import Broker, Client

BOX = "edgeflow/v1/plant1/l3/s2"
Clients = Callable[[str], "Client"]
Results = Callable[[int], Result]


def watch(*arguments: str) -> subprocess.Popen[str]:
    """The watcher as a program of its own, its output a pipe."""
    script = f"import sys; from edgeflow.cli.monitor import run_monitor; run_monitor({', '.join(arguments)})"
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def first_line(program: subprocess.Popen[str]) -> str:
    assert program.stdout is not None
    return program.stdout.readline()


def test_lines_of_json_until_the_count_is_reached(
    broker: Broker, client: Clients, make_result: Results
) -> None:
    box = client(f"{BOX}/result/ack")
    box.publish(f"{BOX}/availability", b"online", retain=True)
    box.publish(f"{BOX}/birth", b"{}", retain=True)
    program = watch(f"'mqtt://127.0.0.1:{broker.port}'", "as_json=True", "count=2")
    assert json.loads(first_line(program))["payload"] == "online"
    for number in (1, 2, 3):
        box.publish(f"{BOX}/result", to_json(make_result(number)))
    rest, _ = program.communicate(timeout=120)
    lines = [json.loads(line) for line in rest.splitlines()]
    assert [line["payload"]["result_id"] for line in lines] == ["r-1", "r-2"]
    assert program.returncode == 0
    assert box.messages == []  # a watcher acknowledges nothing


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(number: signal.Signals, broker: Broker, client: Clients) -> None:
    box = client("unused")
    box.publish(f"{BOX}/availability", b"online", retain=True)
    program = watch(f"'mqtt://127.0.0.1:{broker.port}'", "topic='edgeflow/v1/plant1/l3/s2'")
    assert first_line(program) == "availability plant1/l3/s2  online\n"
    program.send_signal(number)
    rest, _ = program.communicate(timeout=120)
    assert (program.returncode, rest) == (0, "")


def test_it_comes_back_after_a_broker_restart(broker: Broker, client: Clients) -> None:
    box = client("unused")
    box.publish(f"{BOX}/availability", b"online", retain=True)
    program = watch(f"'mqtt://127.0.0.1:{broker.port}'")
    first_line(program)
    broker.kill()
    broker.start()
    box.wait_until_subscribed(2)
    box.publish(f"{BOX}/availability", b"stopped", retain=True)
    assert first_line(program) == "availability plant1/l3/s2  stopped\n"
    program.terminate()
    program.communicate(timeout=120)


def test_an_unreachable_broker_is_told() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(HardwareError, match="nothing listens there"):
        run_monitor(f"mqtt://u:secret@127.0.0.1:{port}")
    with pytest.raises(HardwareError, match="name not found"):
        run_monitor("mqtt://no-such-host.invalid")


def test_wrong_credentials_are_told(broker: Broker, tmp_path: Path) -> None:
    program = shutil.which("mosquitto_passwd")
    assert program is not None, "mosquitto_passwd comes with mosquitto"
    subprocess.run([program, "-c", "-b", str(tmp_path / "users"), "u", "right"], check=True, timeout=120)
    broker.kill()
    broker.settings = f"allow_anonymous false\npassword_file {tmp_path / 'users'}"
    broker.start()
    with pytest.raises(ConfigError, match="user and password in the URL") as caught:
        run_monitor(f"mqtt://u:secret@127.0.0.1:{broker.port}")
    assert "secret" not in str(caught.value)


def test_a_missing_certificate_authority_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        run_monitor("mqtts://127.0.0.1", ca=tmp_path / "ca.pem")


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_on_a_terminal_it_draws_a_table(broker: Broker, client: Clients, make_result: Results) -> None:
    box = client("unused")
    box.publish(f"{BOX}/result", to_json(make_result(1)), retain=True)
    near, far = os.openpty()
    script = f"from edgeflow.cli.monitor import run_monitor; run_monitor('mqtt://127.0.0.1:{broker.port}')"
    program = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=far,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "140", "LINES": "40"},
    )
    os.close(far)
    drawn = b""
    while b"part-1" not in drawn:
        drawn += os.read(near, 4096)
    assert b"worst view" in drawn
    program.terminate()
    assert program.wait(timeout=120) == 0
    os.close(near)
