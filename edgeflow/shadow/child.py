"""The box's end of a candidate's process: started, given parts, stopped for the line, ended."""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgeflow.contracts.images import RgbImage

__all__ = ["ChildEndedError", "ShadowChild"]

_LONGEST_LINE = 65_536
_TURN_S = 0.5


class ChildEndedError(Exception):
    """The candidate's process ended, or was ended; the message says why."""


class ShadowChild:
    """One process. ``pause`` and ``resume`` are for the line's thread, everything else for one other.

    Args:
        job: for ``process.py``.
        give_way: waits for a part to be decided, before each image is copied.
    """

    def __init__(self, job: Mapping[str, Any], give_way: Callable[[], None] = lambda: None) -> None:
        self._give_way = give_way
        self._fd = os.memfd_create("edgeflow-shadow", 0)
        self._memory: mmap.mmap | None = None
        self._rest = b""
        self._paused_ns = 0
        self._paused_since_ns: int | None = None
        paths = os.pathsep.join(path or os.getcwd() for path in sys.path)  # noqa: PTH109
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edgeflow.shadow.process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pass_fds=(self._fd,),
            env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1"},
        )
        self._pidfd: int | None = os.pidfd_open(self._process.pid)
        self._send({**job, "fd": self._fd, "parent": os.getpid()})

    def pause(self) -> None:
        """Let the process stand still; never raises, never waits."""
        self._paused_since_ns = time.monotonic_ns()
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)
        since_ns, self._paused_since_ns = self._paused_since_ns, None
        if since_ns is not None:
            self._paused_ns += time.monotonic_ns() - since_ns

    def ask(
        self,
        part: Mapping[str, Any],
        images: Mapping[str, RgbImage],
        limit_s: float,
        turn: Callable[[], bool] = lambda: True,
    ) -> dict[str, Any]:
        """Hand over a part and return the answer.

        Args:
            images: view → uint8 (H, W, 3); copied at once.
            limit_s: time that it may take, not counting pauses.
            turn: as for :meth:`answer`.

        Raises:
            ChildEndedError: no answer in time, or none at all; the process is ended.
        """
        places, offset = {}, 0
        for view, image in images.items():
            places[view] = (offset, image.shape[0], image.shape[1])
            offset += image.nbytes
        self._make_room(offset)
        for view, image in images.items():
            self._give_way()
            start = places[view][0]
            place = np.frombuffer(self._memory or b"", np.uint8, image.nbytes, start)
            np.copyto(place.reshape(image.shape), image)
        self._send({**part, "bytes": offset, "images": places})
        return self.answer(limit_s, turn)

    def answer(self, limit_s: float, turn: Callable[[], bool] = lambda: True) -> dict[str, Any]:
        """Return the next answer.

        Args:
            turn: called twice a second; False ends the wait.

        Raises:
            ChildEndedError: as for :meth:`ask`.
        """
        begun_ns, paused_ns = time.monotonic_ns(), self._paused_ns
        with selectors.DefaultSelector() as selector:
            selector.register(self._stdout, selectors.EVENT_READ)
            while True:
                if (line := self._line()) is not None:
                    return line
                used_ns = time.monotonic_ns() - begun_ns - (self._paused_ns - paused_ns)
                if used_ns > limit_s * 1e9:
                    self.end()
                    raise ChildEndedError(f"it has not answered for {limit_s:g} s")
                if not turn():
                    self.end()
                    raise ChildEndedError("it is no longer wanted")
                if selector.select(_TURN_S):
                    self._read()

    def end(self) -> None:
        """End the process; safe to call twice."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
        fd, self._pidfd = self._pidfd, None
        if fd is not None:
            os.close(fd)
            os.close(self._fd)

    @property
    def _stdout(self) -> int:
        if self._process.stdout is None or self._process.stdout.closed:
            raise ChildEndedError("it has ended")
        return self._process.stdout.fileno()

    def _read(self) -> None:
        data = os.read(self._stdout, _LONGEST_LINE)
        self._rest += data
        if not data or len(self._rest) > 2 * _LONGEST_LINE:
            self._process.kill()
            code = self._process.wait()
            self.end()
            name = signal.Signals(-code).name if code < 0 else f"code {code}"
            raise ChildEndedError(f"its process ended with {name}")

    def _line(self) -> dict[str, Any] | None:
        line, found, rest = self._rest.partition(b"\n")
        if not found:
            return None
        self._rest = rest
        answer: dict[str, Any] = json.loads(line)
        if "died" in answer:
            self.end()
            raise ChildEndedError(str(answer["died"]))
        return answer

    def _send(self, line: Mapping[str, Any]) -> None:
        """Write a line; a process that has ended shows when its answer is waited for."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError, ValueError):
                self._process.stdin.write(json.dumps(dict(line)).encode() + b"\n")
                self._process.stdin.flush()

    def _make_room(self, size: int) -> None:
        if size and (self._memory is None or len(self._memory) < size):
            os.ftruncate(self._fd, size)
            self._memory = mmap.mmap(self._fd, size)

    def _signal(self, number: signal.Signals) -> None:
        fd = self._pidfd
        if fd is not None:
            with contextlib.suppress(OSError):
                signal.pidfd_send_signal(fd, number)
