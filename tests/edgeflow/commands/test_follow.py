"""Following a box over its socket: what it decides, and each new reason why there is nothing to follow."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgeflow.commands.control_socket import ControlSocket
from edgeflow.commands.dispatcher import Answer
from edgeflow.commands.follow import follow
from edgeflow.contracts.commands import Reply
from edgeflow.errors import UsageError

AT = "2026-03-04T10:11:12.123Z"


def carry(verb: str, _arguments: Mapping[str, str], _who: str, _patience_s: float) -> Answer:
    reply = Reply(session="s", command_id=None, verb=verb, outcome="done", text="", at=AT)
    return Answer(reply=reply, exit_code=0)


def nothing(_: socket.socket) -> None:
    """A stream that ends at once."""


def first_items(path: Path, count: int, silent_s: float = 5.0) -> list[dict[str, Any]]:
    async def collect() -> list[dict[str, Any]]:
        items = []
        async for item in follow(path, silent_s):
            items.append(item)
            if len(items) == count:
                break
        return items

    return asyncio.run(collect())


def served(path: Path, *streams: Any) -> ControlSocket:
    control = ControlSocket(path, carry, dict, nothing, *streams)
    control.start()
    return control


def test_a_follower_gets_items_and_the_end_and_connects_again(tmp_path: Path) -> None:
    control = served(tmp_path / "b.sock", lambda connection: connection.sendall(b'{"kind": "hello"}\n'))
    try:
        items = first_items(tmp_path / "b.sock", 4)
    finally:
        control.close()
    assert [item["kind"] for item in items] == ["hello", "lost", "hello", "lost"]
    assert items[1]["problem"] == "the box has ended"


def test_without_a_box_the_reason_comes_once(tmp_path: Path) -> None:
    before_s = time.monotonic()

    async def wait_and_see() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []

        async def collect() -> None:
            async for item in follow(tmp_path / "none.sock"):
                items.extend([item])

        task = asyncio.create_task(collect())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return items

    (item,) = asyncio.run(wait_and_see())
    assert "no box runs there; start it with" in item["problem"]
    assert time.monotonic() - before_s >= 1


def test_a_box_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    def silent(connection: socket.socket) -> None:
        connection.settimeout(30)
        connection.recv(1)  # until the follower goes

    control = served(tmp_path / "b.sock", silent)
    try:
        (item,) = first_items(tmp_path / "b.sock", 1, 0.3)
    finally:
        control.close()
    assert "silent for 0.3 s" in item["problem"]


def test_a_refusal_and_a_box_without_a_line_are_said_in_its_words(tmp_path: Path) -> None:
    def refuse(_: socket.socket) -> None:
        raise UsageError("8 programs follow this box already; end one of them")

    for streams, words in (((refuse,), "8 programs follow"), ((), "does not inspect parts now")):
        control = served(tmp_path / "b.sock", *streams)
        try:
            (item,) = first_items(tmp_path / "b.sock", 1)
        finally:
            control.close()
        assert words in item["problem"]


def test_a_line_that_is_no_json_is_a_problem_not_an_end(tmp_path: Path) -> None:
    control = served(tmp_path / "b.sock", lambda connection: connection.sendall(b"no json\n"))
    try:
        (item,) = first_items(tmp_path / "b.sock", 1)
    finally:
        control.close()
    assert "the box does not answer" in item["problem"]
