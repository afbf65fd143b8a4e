"""A simulated camera with a driver that buffers, for comparing ways to read several cameras."""

from __future__ import annotations

import queue
import threading
import time

import numpy as np

from edgeflow.cameras.camera import Frame
from edgeflow.clock import monotonic_ns
from edgeflow.contracts.images import RgbImage

__all__ = ["PacedSource"]

_BUFFERS = 4  # frames that a driver keeps for a slow reader, as V4L2 and stream readers do
_IMAGE = np.zeros((8, 8, 3), np.uint8)


class PacedSource:
    """Exposes at a rate, or at software triggers, in a thread of its own, and stamps with the real clock.

    Args:
        phase_ms: when it exposes within the period: cameras that are not wired together differ in it.
        transfer_ms: from exposure to delivery.
    """

    def __init__(
        self, view: str, *, rate_hz: float | None, phase_ms: float = 0, transfer_ms: float = 8
    ) -> None:
        self._view = view
        self._rate_hz = rate_hz
        self._phase_ns = round(phase_ms * 1e6)
        self._transfer_s = transfer_ms / 1000
        self._triggers: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._buffers: queue.Queue[Frame] = queue.Queue(_BUFFERS)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._number = 0

    @property
    def view(self) -> str:
        return self._view

    @property
    def serial(self) -> None:
        """A simulated source has none."""

    def open(self, epoch_ns: int) -> None:
        """Begin to expose."""
        self._stop.clear()
        run = self._at_triggers if self._rate_hz is None else self._at_rate
        self._thread = threading.Thread(target=run, args=(epoch_ns,), daemon=True)
        self._thread.start()

    def trigger(self, trigger_id: str) -> None:
        """Expose now."""
        self._triggers.put(trigger_id)

    def read(self, timeout_s: float) -> Frame | None:
        """The oldest frame that the driver has."""
        try:
            return self._buffers.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._triggers.put(None)
        if self._thread is not None:
            self._thread.join()

    def _at_rate(self, epoch_ns: int) -> None:
        period_ns = round(1e9 / (self._rate_hz or 1))
        due_ns = epoch_ns + self._phase_ns
        while not self._stop.wait(max(0, due_ns - monotonic_ns()) / 1e9):
            self._expose(None)
            due_ns += period_ns

    def _at_triggers(self, _epoch_ns: int) -> None:
        while (trigger_id := self._triggers.get()) is not None:
            self._expose(trigger_id)

    def image(self, number: int) -> RgbImage:  # noqa: ARG002 - for cameras that show something
        """Content of a frame."""
        return _IMAGE

    def _expose(self, trigger_id: str | None) -> None:
        stamp_ns = monotonic_ns()
        image = self.image(self._number)
        time.sleep(self._transfer_s)
        frame = Frame(
            view=self._view, image=image, captured_ns=stamp_ns, frame_id=self._number, trigger_id=trigger_id
        )
        self._number += 1
        if not self._buffers.full():  # a full driver drops the new frame and keeps the old ones
            self._buffers.put_nowait(frame)
