"""The process of one camera: its driver, read without end, frames to the parent; ends with the parent."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import resource
import signal
import socket
import sys
import threading
from contextlib import suppress
from typing import Any

from pydantic import TypeAdapter

from edgeflow.cameras.camera import Camera, EndOfStream, Frame, FrameLost
from edgeflow.cameras.drivers import make_driver
from edgeflow.cameras.shared_frames import RingWriter
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import CameraConfig
from edgeflow.errors import CameraError

__all__ = ["main"]

_READ_S = 0.2  # how often it looks whether it should end
_SLOTS = 16  # images in use at a time: matching, waiting, scoring and evidence hold a few each
_LATE_NS = 200_000_000  # a trigger that waited this long for its driver would show another part
_LAST_WORDS_S = 1.0
_PR_SET_PDEATHSIG = 1
_MESSAGE_BYTES = 65536


class _Parent:
    """The link to the parent; anything that cannot be sent means that it is gone."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._ring: RingWriter | None = None

    def order(self) -> dict[str, Any] | None:
        """The parent's next order; None when it wants no more."""
        try:
            data = self._link.recv(_MESSAGE_BYTES)
        except OSError:
            return None
        return dict(json.loads(data)) if data else None

    def say(self, kind: str, fds: tuple[int, ...] = (), **values: object) -> None:
        with self._lock:
            socket.send_fds(self._link, [json.dumps({"kind": kind, **values}).encode()], fds)

    def frame(self, frame: Frame) -> None:
        """Put the image into shared memory and send its place to the parent."""
        fds: tuple[int, ...] = ()
        ring = self._ring
        if ring is None or frame.image.nbytes > ring.slot_bytes:
            if ring is not None:
                ring.close()
            ring = self._ring = RingWriter(slots=_SLOTS, image_bytes=frame.image.nbytes)
            fds = (ring.fd,)
        slot = ring.place(frame.image)
        if slot is None:
            text = f"camera '{frame.view}': all {_SLOTS} images are in use; scoring or evidence keeps them"
            self.say("lost", text=text, trigger_id=frame.trigger_id)
            return
        self.say(
            "frame",
            fds,
            slot=slot,
            slot_bytes=ring.slot_bytes,
            height=frame.image.shape[0],
            width=frame.image.shape[1],
            captured_ns=frame.captured_ns,
            frame_id=frame.frame_id,
            trigger_id=frame.trigger_id,
            counter=frame.counter,
            counter_bits=frame.counter_bits,
            device_ns=frame.device_ns,
            unsure_ns=frame.unsure_ns,
        )


def main(fd: int) -> None:
    """Serve one camera over the link ``fd`` until the parent closes it."""
    _end_with_parent()
    faulthandler.enable()  # a crash, or the parent's SIGABRT, shows where the driver was
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    parent = _Parent(socket.socket(fileno=fd))
    order = parent.order()
    if order is None:
        return
    camera: Camera | None = None
    try:
        config: CameraConfig = TypeAdapter(CameraConfig).validate_json(json.dumps(order["config"]))
        camera = make_driver(order["view"], config)
        camera.open(order["epoch_ns"])
        _serve(parent, camera)
    except OSError:
        pass  # the parent is gone
    except Exception as cause:  # noqa: BLE001 - a driver may fail in any way
        _send_failure(parent, order["view"], cause)
    if camera is not None:
        camera.close()  # last, since a driver whose camera is away may take its time


def _serve(parent: _Parent, camera: Camera) -> None:
    parent.say("opened", serial=camera.serial)
    stop = threading.Event()
    threading.Thread(target=_listen, args=(parent, camera, stop), daemon=True).start()
    while not stop.is_set():
        try:
            frame = camera.read(_READ_S)
        except FrameLost as lost:
            parent.say("lost", text=lost.message, trigger_id=lost.trigger_id)
            continue
        if frame is None:
            parent.say("alive")
        else:
            parent.frame(frame)


def _listen(parent: _Parent, camera: Camera, stop: threading.Event) -> None:
    """Triggers to the camera, in order, until the parent ends or wants no more."""
    while (order := parent.order()) is not None:
        if monotonic_ns() - order["at_ns"] < _LATE_NS:
            camera.trigger(order["trigger"])
            with suppress(OSError):
                parent.say("triggered", delay_ns=monotonic_ns() - order["at_ns"])
    stop.set()
    threading.Event().wait(_LAST_WORDS_S)
    os._exit(0)  # the driver did not come back


def _send_failure(parent: _Parent, view: str, cause: Exception) -> None:
    with suppress(OSError):
        if isinstance(cause, EndOfStream):
            parent.say("end")
        elif isinstance(cause, CameraError):
            parent.say("failed", text=cause.message, problems=cause.problems)
        else:
            parent.say("failed", text=f"camera '{view}': its driver failed: {cause!r}", problems=())


def _end_with_parent() -> None:
    """The kernel kills this process when the parent's thread that started it ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main(int(sys.argv[1]))
    sys.stderr.flush()
    os._exit(0)  # threads of a driver that do not end must not keep it alive
