"""The box's own socket: for one box at a time, for those who may, deaf to nonsense."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from edgeflow.commands.control_socket import ControlSocket, ask
from edgeflow.commands.dispatcher import Answer
from edgeflow.commands.watch import watch
from edgeflow.contracts.commands import Reply
from edgeflow.errors import HardwareError, UsageError

AT = "2026-03-04T10:11:12.123Z"


def carry(verb: str, arguments: Mapping[str, str], who: str, _patience_s: float) -> Answer:
    text = f"{who.split(maxsplit=1)[0]} {dict(arguments)}"
    reply = Reply(session="s", command_id=None, verb=verb, outcome="done", text=text, at=AT)
    return Answer(reply=reply, exit_code=0)


def watched(connection: socket.socket) -> None:
    connection.sendall(b'{"kind": "hello", "results": []}\n')


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A socket that answers, at a path far longer than a socket's address may be."""
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    control = ControlSocket(folder / "box.sock", carry, lambda: {"state": "Ready"}, watched)
    control.start()
    yield folder / "box.sock"
    control.close()
    assert not (folder / "box.sock").exists()


def test_commands_and_status_are_answered(path: Path) -> None:
    reply = ask(path, "reload", {"bundle": "two.bundle"})["reply"]
    assert (reply["outcome"], reply["text"]) == ("done", "local {'bundle': 'two.bundle'}")
    assert ask(path, "status", {})["status"] == {"state": "Ready"}


def test_a_watcher_gets_the_stream_until_it_ends(path: Path) -> None:
    assert [item["kind"] for item in watch(path)] == ["hello", "end"]
    with pytest.raises(HardwareError, match="no box runs"):
        next(watch(path.with_name("other.sock")))


def test_the_user_of_a_program_is_part_of_who_asked(tmp_path: Path) -> None:
    asked: list[str] = []

    def note(verb: str, arguments: Mapping[str, str], who: str, patience_s: float) -> Answer:
        asked.append(who)
        return carry(verb, arguments, who, patience_s)

    control = ControlSocket(tmp_path / "box.sock", note, dict, watched)
    control.start()
    ask(tmp_path / "box.sock", "stop", {}, user="anna")
    ask(tmp_path / "box.sock", "stop", {}, user="x" * 500)
    control.close()
    assert asked[0].endswith("for user 'anna'")
    assert asked[1].endswith(f"for user '{'x' * 64}'")


def test_a_running_box_keeps_its_socket_a_dead_one_leaves_it(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="another edgeflow runs"):
        ControlSocket(path, carry, dict, watched)
    assert ask(path, "status", {})["exit_code"] == 0
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as gone:
        gone.bind(str(dead))
    with pytest.raises(HardwareError, match="no box runs"):
        ask(dead, "status", {})
    ControlSocket(dead, carry, dict, watched).close()


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
