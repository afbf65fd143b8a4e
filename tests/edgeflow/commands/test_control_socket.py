"""The box's own socket: for one box at a time, for those who may, deaf to nonsense."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from edgeflow.commands.control_socket import ControlSocket, ask
from edgeflow.commands.dispatcher import Answer
from edgeflow.contracts.commands import Reply
from edgeflow.errors import HardwareError, UsageError

AT = "2026-03-04T10:11:12.123Z"


def carry(verb: str, arguments: Mapping[str, str], who: str, _patience_s: float) -> Answer:
    text = f"{who.split(maxsplit=1)[0]} {dict(arguments)}"
    reply = Reply(session="s", command_id=None, verb=verb, outcome="done", text=text, at=AT)
    return Answer(reply=reply, exit_code=0)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A socket that answers, at a path far longer than a socket's address may be."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    control = ControlSocket(folder / "box.sock", carry, lambda: {"state": "Ready"})
    control.start()
    yield folder / "box.sock"
    control.close()
    assert not (folder / "box.sock").exists()


def test_commands_and_status_are_answered(path: Path) -> None:
    reply = ask(path, "reload", {"bundle": "two.bundle"})["reply"]
    assert (reply["outcome"], reply["text"]) == ("done", "local {'bundle': 'two.bundle'}")
    assert ask(path, "status", {})["status"] == {"state": "Ready"}


def test_a_running_box_keeps_its_socket_a_dead_one_leaves_it(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another edgeflow runs"):
        ControlSocket(path, carry, dict)
    assert ask(path, "status", {})["exit_code"] == 0
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(dead))
    with pytest.raises(HardwareError, match="no box runs"):
        ask(dead, "status", {})
    ControlSocket(dead, carry, dict).close()


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"[]\n", b"{}\n", b'{"verb": 1, "arguments": {}}\n', b"[" * 9000, b'"' + b"x" * 9000]
)
def test_nonsense_is_refused_and_the_next_command_answered(path: Path, line: bytes) -> None:
    import os

    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
        connection.sendall(line)
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as file:
            answer = file.readline()
    os.close(folder)
    assert json.loads(answer)["exit_code"] == 2
    assert ask(path, "status", {})["exit_code"] == 0
