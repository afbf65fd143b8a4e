"""A video file played as a camera, at its own rate."""

from __future__ import annotations

import time
from typing import Any

from edgeflow.cameras.base import EndOfStream, Frame, FrameLost
from edgeflow.cameras.libav import DamagedFrame, Video, rgb_of
from edgeflow.cameras.pace import Pace
from edgeflow.clock import monotonic_ns
from edgeflow.config import FileConfig
from edgeflow.errors import CameraError

__all__ = ["FileCamera"]

_MAX_FPS = 1000.0


class FileCamera:
    """Plays a file in step with all sources of the same epoch; a slow reader misses frames."""

    def __init__(self, view: str, config: FileConfig) -> None:
        self._view = view
        self._config = config
        self._name = f"camera '{view}' ({config.path})"
        self._video: Video | None = None
        self._pace = Pace(epoch_ns=0, rate_hz=1)
        self._next = 0  # number of the next frame to deliver
        self._taken = 0  # frames decoded so far
        self._start = 0  # of which before this pass through the file
        self._latest: Any = None  # the frame decoded last; None where it is damaged

    @property
    def view(self) -> str:
        return self._view

    @property
    def serial(self) -> None:
        """A file has none."""

    def open(self, epoch_ns: int) -> None:
        """Open the file.

        Raises:
            CameraError: no such file, no video that can be decoded, or without a frame rate.
        """
        self.close()
        if not self._config.path.is_file():
            raise CameraError(f"{self._name}: no such file; check cameras.{self._view}.path")
        self._video = self._opened()
        rate_hz = self._video.rate_hz
        if not 0 < rate_hz <= _MAX_FPS:
            self.close()
            raise CameraError(f"{self._name}: has no usable frame rate ({rate_hz:g}); convert the video")
        self._pace = Pace(epoch_ns=epoch_ns, rate_hz=rate_hz)
        self._taken = self._start = 0

    def trigger(self, trigger_id: str) -> None:
        """Ignored: the file plays by itself."""

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; None when none is due within the timeout.

        Raises:
            FrameLost: this frame is damaged.
            CameraError: not open, or holds no frame at all.
            EndOfStream: played to its end.
        """
        if self._video is None:
            raise CameraError(f"{self._name}: read before it was opened")
        until_ns = monotonic_ns() + round(timeout_s * 1e9)
        number = max(self._next, self._pace.current(monotonic_ns()))
        while self._taken <= number:
            self._decode()
        due_ns = self._pace.due_ns(number)
        time.sleep(max(0, min(due_ns, until_ns) - monotonic_ns()) / 1e9)
        return self._deliver(number, due_ns) if due_ns <= until_ns else None

    def close(self) -> None:
        video, self._video, self._latest = self._video, None, None
        if video is not None:
            video.close()

    def _opened(self) -> Video:
        return Video(
            str(self._config.path),
            name=self._name,
            open_s=self._config.open_timeout_ms / 1000,
            read_s=self._config.read_timeout_ms / 1000,
            options={},
            advice="not a video that can be decoded",
        )

    def _decode(self) -> None:
        assert self._video is not None  # noqa: S101 - read() made sure, and rewinding opens another
        try:
            self._latest = self._video.next()
        except DamagedFrame:
            self._latest = None
        else:
            if self._latest is None:
                self._rewind()
                return
        self._taken += 1

    def _rewind(self) -> None:
        """Start the file again, where it is to loop."""
        if self._taken == self._start:
            raise CameraError(f"{self._name}: holds no frame that can be decoded; replace the file")
        if not self._config.loop:
            raise EndOfStream
        self.close()
        self._video = self._opened()
        self._start = self._taken

    def _deliver(self, number: int, captured_ns: int) -> Frame:
        self._next = number + 1
        if self._latest is None:
            raise FrameLost(f"{self._name}: frame {number} is damaged")
        return Frame(view=self._view, image=rgb_of(self._latest), captured_ns=captured_ns, frame_id=number)
