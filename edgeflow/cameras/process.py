"""A camera whose driver runs in a process of its own, which can hang, crash or leak alone."""

from __future__ import annotations

import json
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from edgeflow.cameras.camera import EndOfStream, Frame, FrameLost
from edgeflow.cameras.shared_frames import RingReader
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import CameraConfig
from edgeflow.errors import CameraError

__all__ = ["ProcessCamera"]

_START_MS = 8000.0  # imports on a slow box
_GRACE_MS = 3000.0  # beyond the driver's own limit
_CLOSE_S = 1.5
_LAST_WORDS_S = 0.3
_MESSAGE_BYTES = 65536
_MOST_MEMORY_MB = 2000.0
_LOOK_NS = 2_000_000_000  # how often the child's memory is looked at


class ProcessCamera:
    """The driver of a kind, in a child that ends with the thread that opened it.

    Images come through shared memory and stay valid while somebody holds them. A child that says
    nothing for longer than its driver may take, or grows without end, is killed; ``read`` then
    raises as for any failed camera, and the next ``open`` starts a new one.
    """

    def __init__(self, view: str, config: CameraConfig) -> None:
        self._view = view
        self._config = config
        self._child: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._lock = threading.Lock()  # guards the link against a trigger while it is closed
        self._ring: RingReader | None = None
        self._serial: str | None = None
        self._received_ns = self._looked_ns = 0
        self._missed: deque[str] = deque(maxlen=64)  # triggers that found no room
        self._first_id = self._next_id = 0  # frame ids go on where the child before left off
        self.trigger_delays_ns: deque[int] = deque(maxlen=1024)  # from trigger() until the camera has it

    @property
    def view(self) -> str:
        """View that the camera delivers."""
        return self._view

    @property
    def serial(self) -> str | None:
        """Serial number that the child's driver reported when it was last open."""
        return self._serial

    @property
    def pid(self) -> int | None:
        """The child's process id; None where there is none."""
        return self._child.pid if self._child else None

    def configure(self, config: CameraConfig) -> None:
        """Take other settings; the child that is started next has them."""
        self._config = config

    def open(self, epoch_ns: int) -> None:
        """Start the child and wait until its camera is open.

        Raises:
            CameraError: as the driver says, or the driver hangs or crashes.
        """
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "edgeflow.cameras.process_main", str(theirs.fileno())]
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter; secrets go over the link
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        ours.setblocking(False)
        self._link = ours
        self._first_id = self._next_id
        self._missed.clear()
        order = {"view": self._view, "config": self._config.model_dump(mode="json"), "epoch_ns": epoch_ns}
        ours.send(json.dumps(order).encode())
        limit_ms = getattr(self._config, "open_timeout_ms", 0.0) + _START_MS
        message = self._receive(limit_ms / 1000)
        if message is None:
            self.close()
            raise CameraError(f"camera '{self._view}': opening it hangs; check its cable and power")
        self._received_ns = monotonic_ns()
        self._understand(message)

    def trigger(self, trigger_id: str) -> None:
        """Pass a software trigger on; returns at once, also where the child hangs."""
        order = json.dumps({"trigger": trigger_id, "at_ns": monotonic_ns()}).encode()
        with self._lock:
            if self._link is None:
                return
            try:
                self._link.send(order)
            except BlockingIOError:  # full of triggers that nobody took
                self._missed.append(trigger_id)
            except OSError:
                pass  # read() finds out that nobody listens

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame, or None when none came within the timeout.

        Raises:
            FrameLost, EndOfStream, CameraError: as the driver says; also where the child died or
                was killed because it hung or grew.
        """
        if self._link is None:
            raise CameraError(f"camera '{self._view}': read before it was opened")
        until_ns = monotonic_ns() + round(timeout_s * 1e9)
        while True:
            left_ns = 0 if self._missed else max(0, until_ns - monotonic_ns())
            message = self._receive(left_ns / 1e9)
            if message is not None:
                self._received_ns = monotonic_ns()
                frame = self._understand(message)
                if frame is not None:
                    return frame
            self._watch()
            if self._missed:
                raise FrameLost(
                    f"camera '{self._view}': its driver takes no triggers", trigger_id=self._missed.popleft()
                )
            if monotonic_ns() >= until_ns:
                return None

    def close(self) -> None:
        """End the child: orderly, or by force where it does not go."""
        with self._lock:
            link, self._link = self._link, None
        child, self._child = self._child, None
        self._ring = None
        if link is not None:
            link.close()  # the child sees it and closes its camera
        if child is not None:
            try:
                child.wait(_CLOSE_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def _receive(self, timeout_s: float) -> dict[str, Any] | None:
        """The next message; None when none came in time."""
        assert self._link is not None  # noqa: S101 - both callers made sure
        try:
            # The link itself never waits, since a trigger from another thread would then wait too.
            if not _is_readable(self._link, timeout_s):
                return None
            data, fds, _, _ = socket.recv_fds(self._link, _MESSAGE_BYTES, 1)
        except BlockingIOError:
            return None
        except OSError as cause:
            raise self._died() from cause
        if not data:
            raise self._died()
        message: dict[str, Any] = json.loads(data)
        if fds:
            self._ring = RingReader(fds[0], slot_bytes=message["slot_bytes"])
        return message

    def _understand(self, message: dict[str, Any]) -> Frame | None:
        kind = message["kind"]
        if kind == "frame":
            return self._frame(message)
        if kind == "lost":
            raise FrameLost(message["text"], trigger_id=message["trigger_id"])
        if kind == "failed":
            raise CameraError(message["text"], problems=message["problems"])
        if kind == "end":
            raise EndOfStream
        if kind == "opened":
            self._serial = message["serial"]
        if kind == "triggered":
            self.trigger_delays_ns.append(message["delay_ns"])
        return None

    def _frame(self, message: dict[str, Any]) -> Frame:
        assert self._ring is not None  # noqa: S101 - the child sends it with the first frame
        self._next_id = self._first_id + message["frame_id"] + 1
        return Frame(
            view=self._view,
            image=self._ring.take(message["slot"], message["height"], message["width"]),
            captured_ns=message["captured_ns"],
            frame_id=self._next_id - 1,
            trigger_id=message["trigger_id"],
            counter=message["counter"],
            counter_bits=message["counter_bits"],
            device_ns=message["device_ns"],
            unsure_ns=message["unsure_ns"],
        )

    def _watch(self) -> None:
        """Kill a child that hangs or grows without end."""
        now_ns = monotonic_ns()
        limit_ms = getattr(self._config, "read_timeout_ms", 0.0) + _GRACE_MS
        silent_ms = (now_ns - self._received_ns) / 1e6
        if silent_ms > limit_ms:
            raise self._killed(f"its driver hangs: silent for {silent_ms:.0f} ms (limit {limit_ms:g})")
        if now_ns - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = now_ns
        used_mb = _own_memory_mb(self.pid)
        if used_mb > _MOST_MEMORY_MB:
            raise self._killed(f"its driver leaks: {used_mb:.0f} MB (limit {_MOST_MEMORY_MB:g})")

    def _killed(self, why: str) -> CameraError:
        if self._child is not None:
            self._child.send_signal(signal.SIGABRT)  # it says where it hangs, if it still can
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_LAST_WORDS_S)
            self._child.kill()
        return CameraError(f"camera '{self._view}': {why}; it is started again; check its cable and power")

    def _died(self) -> CameraError:
        code = None
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                code = self._child.wait(_CLOSE_S)
        how = f"exit code {code}"
        if code is not None and code < 0:
            how = signal.Signals(-code).name
        return CameraError(f"camera '{self._view}': its driver crashed ({how}); it is started again")


def _is_readable(link: socket.socket, timeout_s: float) -> bool:
    """Return True when data came, or the other side closed, within a time."""
    waiting = select.poll()
    waiting.register(link, select.POLLIN)
    return bool(waiting.poll(1000 * timeout_s))


def _own_memory_mb(pid: int | None) -> float:
    """Memory of a process without what it shares; 0 where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon:")) / 1024
