"""A real Mosquitto to break."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

TIMEOUT_S = 15.0


def mosquitto() -> str:
    """The program; without it tests fail in CI, and are skipped elsewhere."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        hint = "no mosquitto here; install it: sudo apt-get install mosquitto"
        if os.environ.get("CI"):
            pytest.fail(hint)
        pytest.skip(hint)
    return program


class Broker:
    """Mosquitto on a free loopback port; forgets everything when it ends."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.settings = "allow_anonymous true"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def start(self) -> None:
        """Start, and return once it accepts connections."""
        path = self._folder / "mosquitto.conf"
        path.write_text(
            f"listener {self.port} 127.0.0.1\npersistence false\nset_tcp_nodelay true\n"
            f"user {getpass.getuser()}\n{self.settings}\n"
        )
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen([self._program, "-c", str(path)], stdout=log, stderr=log)
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1.0).close()
            except OSError:
                assert time.monotonic() < deadline, "mosquitto does not start"
                assert self._process.poll() is None, (self._folder / "mosquitto.log").read_text()
                time.sleep(0.01)
            else:
                return

    def freeze(self) -> None:
        """It stays connected, but answers nothing."""
        assert self._process is not None
        self._process.send_signal(19)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(18)

    def kill(self) -> None:
        """SIGKILL; safe when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
