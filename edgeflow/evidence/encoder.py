"""The box's end of the process that encodes pictures."""

from __future__ import annotations

import logging
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import IO

import numpy as np
import numpy.typing as npt

from edgeflow.evidence.encoder_process import ANSWER, REQUEST
from edgeflow.evidence.png import encode_png

__all__ = ["Encoder"]

logger = logging.getLogger(__name__)

_LONGEST_S = 5.0  # for one picture; where the processors have no time for the process, the box takes its own
_PIECE = 1 << 20
_AGAIN_S = 60.0  # after a process that ended or was too slow
_END_S = 1.0


class Encoder:
    """Encodes pictures in a process of the lowest priority, or here where that does not answer.

    A process shares no lock of Python with the line, and can stand still while a part waits for its decision.
    It is started with the first picture. ``pause`` and ``resume`` are for the line's thread, everything else
    for one other.

    Args:
        can_wait: False while so much waits to be written that pictures are encoded beside parts.
    """

    def __init__(self, can_wait: Callable[[], bool] = lambda: True) -> None:
        self._can_wait = can_wait
        self._process: subprocess.Popen[bytes] | None = None
        self._pidfd: int | None = None
        self._lock = threading.Lock()  # held for a system call: the line waits for it
        self._asking = threading.Lock()
        self._here_until_s = float("-inf")

    def encode(self, image: npt.NDArray[np.uint8]) -> bytes:
        """Return an RGB image, uint8 (H, W, 3), as PNG."""
        if time.monotonic() >= self._here_until_s:
            try:
                with self._asking:
                    return self._ask(image)
            except (OSError, EOFError, TimeoutError) as cause:
                logger.warning("evidence: pictures are encoded by the box itself for a while: %s", cause)
                self._here_until_s = time.monotonic() + _AGAIN_S
                self.close()
        return encode_png(image)

    def pause(self) -> None:
        """Let the process stand still, where its pictures can wait; never raises."""
        if self._can_wait():
            self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on; never raises."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process; safe to call twice, and while another thread has a picture encoded."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        with self._lock:
            if self._pidfd is not None:
                os.close(self._pidfd)
            self._pidfd = None
        with suppress(subprocess.TimeoutExpired):
            process.wait(_END_S)
        if not self._asking.acquire(timeout=_END_S):  # whoever reads there would read another file next
            return
        try:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()
        finally:
            self._asking.release()

    def _ask(self, image: npt.NDArray[np.uint8]) -> bytes:
        if self._process is None:
            self._process = _start()
            self._pidfd = os.pidfd_open(self._process.pid)
        process, deadline_s = self._process, time.monotonic() + _LONGEST_S
        if process.stdin is None or process.stdout is None:  # never: both are pipes
            raise EOFError("no pipe")
        _send(process.stdin, REQUEST.pack(*image.shape[:2]), deadline_s)
        _send(process.stdin, np.ascontiguousarray(image).data.cast("B"), deadline_s)
        (size,) = ANSWER.unpack(_receive(process.stdout, ANSWER.size, deadline_s))
        return _receive(process.stdout, size, deadline_s)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, suppress(OSError):
            if self._pidfd is not None:
                signal.pidfd_send_signal(self._pidfd, number)


def _start() -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeflow.evidence.encoder_process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
    )
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            os.set_blocking(pipe.fileno(), False)
    return process


def _send(pipe: IO[bytes], data: bytes | memoryview, deadline_s: float) -> None:
    rest = memoryview(data)
    while rest:
        _, ready, _ = select.select([], [pipe], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            raise TimeoutError(f"a picture took longer than {_LONGEST_S:g} s")
        rest = rest[os.write(pipe.fileno(), rest[:_PIECE]) :]


def _receive(pipe: IO[bytes], size: int, deadline_s: float) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        ready, _, _ = select.select([pipe], [], [], max(0.0, deadline_s - time.monotonic()))
        if not ready:
            raise TimeoutError(f"a picture took longer than {_LONGEST_S:g} s")
        piece = os.read(pipe.fileno(), size - len(pieces))
        if not piece:
            raise EOFError("its process ended")
        pieces += piece
    return bytes(pieces)
