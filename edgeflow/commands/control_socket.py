"""Local control socket: commands from this computer, without a broker; file rights say who may use it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edgeflow.commands.dispatcher import Answer
from edgeflow.commands.socket_address import short_address
from edgeflow.errors import HardwareError, StorageError, UsageError

__all__ = ["FOLLOW", "PATIENCE_S", "WATCH", "ControlSocket", "Watch", "ask"]

PATIENCE_S = 590.0
"""Longest time of a command; the verification of a new bundle takes longest."""

WATCH = b'{"verb": "watch"}\n'
"""Request after which a connection carries the live stream."""

FOLLOW = b'{"verb": "follow"}\n'
"""Request after which a connection carries decisions, results and state as they come."""

_MAX_LINE = 8192
_READ_S = 5.0
_MODE = 0o660
_LONGEST_USER = 64

Carry = Callable[[str, Mapping[str, str], str, float], Answer]
"""Verb, arguments, who, patience in seconds."""

Watch = Callable[[socket.socket], None]
"""Writes a stream to a connection until it ends."""


class ControlSocket:
    """Answers one JSON line per connection: ``{"verb", "arguments"}`` → ``{"reply", "exit_code"}``.

    Args:
        carry: carries out a command; called on a thread of the connection.
        status: answers the verb ``status``, which changes nothing.
        watch: serves the verb ``watch``, after which the connection carries the live stream.
        follow: serves the verb ``follow``; None where there are no decisions to follow.

    Raises:
        UsageError: another running box answers there.
        StorageError: the socket cannot be made.
    """

    def __init__(
        self,
        path: Path,
        carry: Carry,
        status: Callable[[], dict[str, Any]],
        watch: Watch,
        follow: Watch | None = None,
    ) -> None:
        self._path = path
        streams = {WATCH: watch, FOLLOW: follow or _no_decisions}
        try:
            with short_address(path) as address:
                _remove_stale(path, address)
                self._server = _Server(address, _handler(carry, status, streams))
                os.chmod(address, _MODE)  # noqa: PTH101 - the short address
        except OSError as cause:
            raise StorageError(
                f"{path}: cannot be made: {cause.strerror}; let this user write there, or set commands.socket"
            ) from cause
        self._thread = threading.Thread(target=self._server.serve_forever, name="control", daemon=True)

    def start(self) -> None:
        """Begin to answer; return at once."""
        self._thread.start()

    def close(self) -> None:
        """Stop answering, and remove the socket."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()
        self._path.unlink(missing_ok=True)


def ask(path: Path, verb: str, arguments: Mapping[str, str], user: str = "") -> dict[str, Any]:
    """Send a command to the running box behind a socket, and return its answer.

    Args:
        user: name under which the sending program knows its user, for the audit.

    Raises:
        HardwareError: no box runs there, or it does not answer.
        UsageError: this user may not command it.
    """
    request = json.dumps({"verb": verb, "arguments": dict(arguments), "user": user}).encode() + b"\n"
    try:
        with short_address(path) as address, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(PATIENCE_S + _READ_S)
            connection.connect(address)
            connection.sendall(request)
            with connection.makefile("rb") as file:
                line = file.readline()
    except PermissionError as cause:
        raise UsageError(f"{path}: this user may not command the box; use its user or group") from cause
    except (FileNotFoundError, ConnectionRefusedError) as cause:
        raise HardwareError(
            f"{path.resolve()}: no box runs there; start it with 'edgeflow run BOX'"
        ) from cause
    except OSError as cause:
        raise HardwareError(f"{path}: the box does not answer: {cause}; see its log") from cause
    try:
        answer: dict[str, Any] = json.loads(line)
    except ValueError as cause:
        raise HardwareError(f"{path}: the box ended before it answered; see its log") from cause
    return answer


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


def _handler(
    carry: Carry, status: Callable[[], dict[str, Any]], streams: Mapping[bytes, Watch]
) -> type[socketserver.StreamRequestHandler]:
    class Handler(socketserver.StreamRequestHandler):
        timeout = _READ_S

        def handle(self) -> None:
            with contextlib.suppress(OSError):  # whoever asked may go at any time
                line = self.rfile.readline(_MAX_LINE)
                stream = streams.get(line)
                answer = self._answer(line) if stream is None else self._streamed(stream)
                self.wfile.write(json.dumps(answer).encode() + b"\n")

        def _streamed(self, stream: Watch) -> dict[str, Any]:
            """Serve a stream; return the last line, for a reader that is still there."""
            try:
                stream(self.connection)
            except UsageError as cause:
                return _refused(cause.message)
            return {"kind": "end"}

        def _answer(self, line: bytes) -> dict[str, Any]:
            try:
                request = json.loads(line)
                verb, arguments, user = request["verb"], request["arguments"], request.get("user", "")
                texts = [verb, user, *arguments.keys(), *arguments.values()]
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                return _refused("not a command")
            if not all(isinstance(text, str) for text in texts):
                return _refused("verb and arguments have to be text")
            if verb == "status":
                return {"status": status(), "exit_code": 0}
            try:
                answer = carry(verb, arguments, _peer(self.connection, user), PATIENCE_S)
            except TimeoutError:
                return _refused("the box is busy with another command; see its log")
            return {
                "reply": answer.reply.model_dump(mode="json", by_alias=True),
                "exit_code": answer.exit_code,
            }

    return Handler


def _no_decisions(_: socket.socket) -> None:
    raise UsageError("this box does not inspect parts now, so that there are no decisions to follow")


def _refused(text: str) -> dict[str, Any]:
    return {"reply": {"outcome": "refused", "text": text}, "exit_code": 2}


def _peer(connection: socket.socket, user: str) -> str:
    """Return the user and process at the other end by the kernel, and the user that the process names."""
    size = struct.calcsize("3i")
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    said = f" for user {user[:_LONGEST_USER]!r}" if user else ""
    return f"local uid {uid} pid {pid}{said}"


def _remove_stale(path: Path, address: str) -> None:
    """Remove the socket of a box that was killed, and never that of a box that runs."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_READ_S)
        try:
            probe.connect(address)
        except (ConnectionRefusedError, FileNotFoundError):
            path.unlink(missing_ok=True)
            return
    raise UsageError(f"{path}: another edgeflow runs with this outbox; stop it first")
