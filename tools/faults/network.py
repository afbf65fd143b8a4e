"""A network to break: a namespace of our own, and a slow relay."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
import time

__all__ = ["SlowRelay", "inside_namespace"]

_INSIDE = "EDGEFLOW_FAULTS_INSIDE"


def inside_namespace(arguments: list[str]) -> int | None:
    """Run this program again in a network namespace of its own; None where it already is there."""
    if os.environ.get(_INSIDE):
        return None
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", sys.executable, *arguments]
    return subprocess.run(command, check=False, env={**os.environ, _INSIDE: "1"}).returncode


class SlowRelay:
    """Passes a TCP connection on, upstream at so many bytes per second."""

    def __init__(self, target: tuple[str, int], bytes_per_s: float) -> None:
        self._target = target
        self._rate = bytes_per_s
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """No more connections."""
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for source in ready:
                    try:
                        data = source.recv(4096)
                        if not data:
                            return
                        (server if source is client else client).sendall(data)
                    except OSError:
                        return
                    if source is client:
                        time.sleep(len(data) / self._rate)
