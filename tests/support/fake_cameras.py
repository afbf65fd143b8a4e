"""Real GigE Vision cameras without a sensor (Aravis' own), in a network of their own."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["FakeCamera", "fake_cameras", "lonely_network"]

PROGRAM = "arv-fake-gv-camera-0.8"
HINT = "run: sh tools/system_packages.sh cameras"
_CLONE_NEWNET = 0x40000000


def need(condition: object, what: str) -> None:
    """Fail in CI, skip elsewhere, where something is not installed."""
    if condition:
        return
    if os.environ.get("CI"):
        pytest.fail(f"{what}; {HINT}")
    pytest.skip(f"{what}; {HINT}")


class FakeCamera:
    """One camera process; 512x512 Mono8, whose pixels and 16-bit frame id (from 65400 on) tell the frame."""

    def __init__(self, address: str, serial: str, lost_per_mille: int = 0) -> None:
        self.address, self.serial = address, serial
        self._command = [PROGRAM, "-i", address, "-s", serial, "-r", str(lost_per_mille)]
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while f"{_hex(self.address)}:0F74" not in Path("/proc/thread-self/net/udp").read_text():
            assert time.monotonic() < deadline, "the camera does not start"
            assert self._process.poll() is None, "the camera does not start"
            time.sleep(0.01)

    def freeze(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL; safe when it does not run."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()


@contextmanager
def lonely_network(addresses: list[str]) -> Iterator[None]:
    """This thread, and the threads and processes that it starts, see only these loopback addresses."""
    libc = ctypes.CDLL(None, use_errno=True)
    # The process's own folder would be that of its first thread.
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        need(libc.unshare(_CLONE_NEWNET) == 0, "no right to make a network (root only)")
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            for address in addresses:
                subprocess.run(["ip", "address", "add", f"{address}/8", "dev", "lo"], check=True)
            yield
        finally:
            assert libc.setns(before, _CLONE_NEWNET) == 0
    finally:
        os.close(before)


@contextmanager
def fake_cameras(count: int, *, lost_per_mille: int = 0) -> Iterator[list[FakeCamera]]:
    """Cameras with serials FAKE2, FAKE3, … at 127.0.0.2, 127.0.0.3, …"""
    need(shutil.which(PROGRAM), f"no {PROGRAM} here")
    need(shutil.which("ip", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"), "no ip here")
    with lonely_network([f"127.0.0.{k + 2}" for k in range(count)]):
        cameras: list[FakeCamera] = []
        try:
            cameras.extend(
                FakeCamera(f"127.0.0.{k}", f"FAKE{k}", lost_per_mille) for k in range(2, count + 2)
            )
            yield cameras
        finally:
            for camera in cameras:
                camera.kill()


def _hex(address: str) -> str:
    """An address as the kernel's tables write it."""
    return "".join(f"{int(byte):02X}" for byte in reversed(address.split(".")))
