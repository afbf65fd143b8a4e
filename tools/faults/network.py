"""A network to break: a namespace of our own, and a relay that is slow or holds everything back."""

from __future__ import annotations

import math
import os
import select
import shutil
import socket
import subprocess
import sys
import threading
import time

__all__ = ["Relay", "in_own_network", "inside_namespace"]

_INSIDE = "EDGEFLOW_FAULTS_INSIDE"


def in_own_network() -> bool:
    """Return True if this process may change its network and its mounts without effect on others."""
    return bool(os.environ.get(_INSIDE))


def inside_namespace(arguments: list[str]) -> int | None:
    """Run this program again in namespaces of its own; None where it is there already, or may not be."""
    own = ["unshare", "--user", "--map-root-user", "--net", "--mount"]
    if in_own_network():
        return None
    if shutil.which(own[0]) is None or subprocess.run([*own, "true"], check=False).returncode:
        print("no namespaces here: some faults are weaker, some are not possible", file=sys.stderr)
        return None
    command = [*own, sys.executable, *arguments]
    return subprocess.run(command, check=False, env={**os.environ, _INSIDE: "1"}).returncode


class Relay:
    """Passes TCP connections on, upstream at so many bytes per second, or nothing at all for a while."""

    def __init__(self, target: tuple[str, int], bytes_per_s: float = math.inf) -> None:
        self._target = target
        self._rate = bytes_per_s
        self._passing = threading.Event()
        self._passing.set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def hold(self) -> None:
        """Pass nothing on; sockets stay open."""
        self._passing.clear()

    def let_go(self) -> None:
        """Go on where it stopped."""
        self._passing.set()

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
        self._passing.wait()
        with client, socket.create_connection(self._target) as server:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
            while True:
                ready, _, _ = select.select([client, server], [], [])
                self._passing.wait()
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
