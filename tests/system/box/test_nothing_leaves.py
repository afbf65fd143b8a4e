"""No command talks to anybody but broker and cameras, or writes elsewhere than it should, by audit hooks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.system.conftest import Broker

HOOK = """
import json, os, sys

LOG = os.open(os.environ["AUDIT_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT

BOUND = []  # the MQTT client wakes its own thread through a pair of sockets that it makes on the loopback

def note(event, arguments):
    if event == "socket.bind":
        BOUND.append(arguments[0])
    if event == "socket.connect" and arguments[1] in [s.getsockname() for s in BOUND if s.fileno() >= 0]:
        return
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "os.fork", "os.mkdir", "os.rename"):
        kept = [str(each) for each in arguments]
    elif event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
        kept = [os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else ""]
    else:
        return
    os.write(LOG, (json.dumps([event, *kept]) + "\\n").encode())

os.write(LOG, b'["started"]\\n')
sys.addaudithook(note)
"""

COMMANDS = {
    "run": ("run", "{box}", "--once", "--json"),
    "check": ("check", "{box}", "--json"),
    "verify": ("verify", "{bundle}", "--json"),
    "score": ("score", "{bundle}", "{parts}", "--json"),
    "inspect": ("inspect", "{bundle}", "--json"),
    "outbox": ("outbox", "status", "{box}", "--json"),
}


@pytest.fixture
def box(repository: Path, tmp_path: Path, broker: Broker) -> Path:
    """The demo's box, at a broker of its own."""
    demo = repository / "tools" / "demo"
    document = yaml.safe_load((demo / "box.yaml").read_text())
    for camera in document["cameras"].values():
        camera["parts"] = str(demo / "parts")
    document |= {
        "bundle": str(demo / "housing.bundle"),
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "outbox": {"path": "outbox.db"},
        "evidence": {"dir": "evidence", "min_free_gb": 0},
    }
    path = tmp_path / "box.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def audited(folder: Path, box: Path, repository: Path, words: tuple[str, ...]) -> list[list[str]]:
    """Events of a command and its children, with a home folder of its own and as outside of CI."""
    hook, home = folder / "hook", folder / "home"
    for made in (hook, home, folder / "tmp"):
        made.mkdir()
    (hook / "sitecustomize.py").write_text(HOOK)
    demo = repository / "tools" / "demo"
    places = {"box": box, "bundle": demo / "housing.bundle", "parts": demo / "parts"}
    environment: dict[str, str] = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {
        "AUDIT_LOG": str(folder / "audit.jsonl"),
        "HOME": str(home),
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join([str(hook), *filter(None, sys.path)]),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "edgeflow.cli", *(word.format(**places) for word in words)],
        env=environment, capture_output=True, text=True, check=False, timeout=200, cwd=folder,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_talks_to_the_broker_alone_and_writes_into_its_own_folders(
    repository: Path, tmp_path: Path, broker: Broker, box: Path, command: str
) -> None:
    events = audited(tmp_path, box, repository, COMMANDS[command])
    assert ["started"] in events, "the hook was not there"
    strange = [
        event for event in events if event != ["started"] and not _is_allowed(event, tmp_path, broker.port)
    ]
    assert strange == []
    assert list((tmp_path / "home").iterdir()) == []


def _is_allowed(event: list[str], folder: Path, port: int) -> bool:
    kind, *arguments = event
    if kind in ("socket.connect", "socket.sendto"):
        address: Any = arguments[1]
        return address == f"('127.0.0.1', {port})" or address.startswith(("/proc/self/fd/", str(folder)))
    if kind == "socket.getaddrinfo":
        return arguments[0] == "127.0.0.1"
    if kind == "os.fork":
        return False  # processes are started anew, never split off a running box
    path = arguments[0]
    return not path or path.startswith((str(folder), "/dev/", "/proc/self/"))
