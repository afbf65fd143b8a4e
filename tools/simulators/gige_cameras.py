"""Real GigE Vision cameras without a sensor (Aravis' own), in a network of their own."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from edgeflow.contracts.images import RgbImage

__all__ = [
    "PROGRAM",
    "FakeCamera",
    "NotPossibleError",
    "fake_cameras",
    "is_one_image",
    "lonely_network",
]

PROGRAM = "arv-fake-gv-camera-0.8"
_CLONE_NEWNET = 0x40000000
_START_S = 10.0


class NotPossibleError(Exception):
    """Something is not installed, or the right to make a network is missing."""


class FakeCamera:
    """One camera process: 512x512 Mono8, 25 images a second, whose 16-bit numbers begin near their wrap."""

    def __init__(
        self,
        address: str,
        serial: str,
        lost_per_mille: int = 0,
        *,
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.address, self.serial = address, serial
        self._command = [PROGRAM, "-i", address, "-s", serial, "-r", str(lost_per_mille), *options]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Return once it listens."""
        process = self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, env=self._environment
        )
        deadline_s = time.monotonic() + _START_S
        while f"{_hex(self.address)}:0F74" not in Path("/proc/thread-self/net/udp").read_text():
            if process.poll() is not None or time.monotonic() > deadline_s:
                self.kill()
                raise NotPossibleError(f"{PROGRAM} does not start at {self.address}")
            time.sleep(0.01)

    def freeze(self) -> None:
        """SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; safe when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)


@contextmanager
def lonely_network(addresses: Sequence[str]) -> Iterator[None]:
    """This thread, and the threads and processes that it starts, see only these loopback addresses.

    Raises:
        NotPossibleError: no right to do so, or no ``ip`` program.
    """
    if shutil.which("ip") is None:
        raise NotPossibleError("no ip program here")
    libc = ctypes.CDLL(None, use_errno=True)
    # The process's own folder would be that of its first thread.
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if libc.unshare(_CLONE_NEWNET) != 0:
            raise NotPossibleError("no right to make a network: root only")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            for address in addresses:
                subprocess.run(["ip", "address", "add", f"{address}/8", "dev", "lo"], check=True)
            yield
        finally:
            libc.setns(before, _CLONE_NEWNET)
    finally:
        os.close(before)


@contextmanager
def fake_cameras(count: int, *, lost_per_mille: int = 0) -> Iterator[list[FakeCamera]]:
    """Cameras with serials FAKE2, FAKE3, … at 127.0.0.2, 127.0.0.3, …

    Raises:
        NotPossibleError: not installed, or no right to make a network.
    """
    if shutil.which(PROGRAM) is None:
        raise NotPossibleError(f"no {PROGRAM} here")
    numbers = range(2, count + 2)
    with lonely_network([f"127.0.0.{k}" for k in numbers]):
        cameras: list[FakeCamera] = []
        try:
            cameras.extend(FakeCamera(f"127.0.0.{k}", f"FAKE{k}", lost_per_mille) for k in numbers)
            yield cameras
        finally:
            for camera in cameras:
                camera.kill()


def is_one_image(image: RgbImage) -> bool:
    """Return True if every pixel follows from the first: a packet of another image would break that."""
    rows, columns = np.arange(image.shape[0]), np.arange(image.shape[1])
    ramp = (rows[:, None] + columns[None, :] + int(image[0, 0, 0])) % 255
    return bool((image == ramp[..., None]).all())


def _hex(address: str) -> str:
    """An address as the kernel's tables write it."""
    return "".join(f"{int(byte):02X}" for byte in reversed(address.split(".")))
