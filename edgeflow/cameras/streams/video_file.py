"""A video file played as a camera, in its own time."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass
from typing import Any

from edgeflow.cameras.camera import EndOfStream, Frame, FrameLost
from edgeflow.cameras.streams.decoder import DamagedFrame, Video, rgb_of, time_ns
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import FileConfig
from edgeflow.contracts.image_files.orientation import UPRIGHT
from edgeflow.errors import CameraError

__all__ = ["FileCamera"]

_MAX_FPS = 1000.0


@dataclass(frozen=True, kw_only=True)
class _Picture:
    """A decoded frame; None where it is damaged.

    Attributes:
        number: from 0, over all passes through the file.
        due_ns: monotonic.
        orientation: how it is to be turned, EXIF's number.
    """

    number: int
    due_ns: int
    decoded: Any
    orientation: int = UPRIGHT


class FileCamera:
    """Plays a file in step with all sources of the same epoch; a slow reader misses frames.

    A frame is due as long after the epoch as the file says that it came after the first one: files of one
    recording stay together also where one of them has gaps.
    """

    def __init__(self, view: str, config: FileConfig) -> None:
        self._view = view
        self._config = config
        self._name = f"camera '{view}' ({config.path})"
        self._video: Video | None = None
        self._step_ns = 0  # the usual time between two frames
        self._start_ns = 0  # when this pass through the file began
        self._first_time_ns: int | None = None  # the file's own time of its first frame
        self._last = _Picture(number=-1, due_ns=0, decoded=None)  # decoded last
        self._delivered_ns = 0
        self._ready: deque[_Picture] = deque()

    @property
    def view(self) -> str:
        """View that the camera delivers."""
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
        self._step_ns = round(1e9 / rate_hz)
        self._start_ns = epoch_ns
        self._first_time_ns = None
        self._last = _Picture(number=-1, due_ns=epoch_ns - self._step_ns, decoded=None)

    def trigger(self, trigger_id: str) -> None:
        """Ignored: the file plays by itself."""

    def read(self, timeout_s: float) -> Frame | None:
        """Return the next frame; None when none is due within the timeout.

        Raises:
            FrameLost: this frame is damaged.
            CameraError: not open, or holds no frame at all.
            EndOfStream: played to its end.
        """
        if self._video is None:
            raise CameraError(f"{self._name}: read before it was opened")
        until_ns = monotonic_ns() + round(timeout_s * 1e9)
        picture = self._newest(monotonic_ns())
        time.sleep(max(0, min(picture.due_ns, until_ns) - monotonic_ns()) / 1e9)
        if picture.due_ns > until_ns:
            return None
        self._ready.popleft()
        self._delivered_ns = picture.due_ns
        if picture.decoded is None:
            raise FrameLost(f"{self._name}: frame {picture.number} is damaged")
        image = rgb_of(picture.decoded, picture.orientation)
        return Frame(view=self._view, image=image, captured_ns=picture.due_ns, frame_id=picture.number)

    def close(self) -> None:
        """Close the stream; safe to call twice."""
        video, self._video = self._video, None
        self._ready.clear()
        if video is not None:
            video.close()

    def _opened(self) -> Video:
        return Video(
            str(self._config.path),
            name=self._name,
            open_s=self._config.open_timeout_ms / 1000,
            read_s=self._config.read_timeout_ms / 1000,
            options={},
            turn=self._config.orientation != "ignored",
            advice="not a video that can be decoded",
        )

    def _newest(self, now_ns: int) -> _Picture:
        """The newest frame that is due, or the first one that is not; it stays in the queue."""
        self._fill(1)
        while self._ready[0].due_ns <= self._delivered_ns:
            self._ready.popleft()
            self._fill(1)
        while self._ready[0].due_ns <= now_ns:
            try:
                self._fill(2)
            except EndOfStream:  # comes again, once the last frame is out
                break
            if self._ready[1].due_ns > now_ns:
                break
            self._ready.popleft()
        return self._ready[0]

    def _fill(self, count: int) -> None:
        while len(self._ready) < count:
            self._decode()

    def _decode(self) -> None:
        assert self._video is not None  # noqa: S101 - read() made sure, and rewinding opens another
        due_ns = self._last.due_ns + self._step_ns
        try:
            decoded = self._video.next()
        except DamagedFrame:
            decoded = None
        else:
            if decoded is None:
                self._rewind(due_ns)
                return
            due_ns = self._due_ns(decoded, due_ns)
        number, orientation = self._last.number + 1, self._video.orientation
        self._last = _Picture(number=number, due_ns=due_ns, decoded=decoded, orientation=orientation)
        self._ready.append(self._last)

    def _due_ns(self, decoded: Any, usual_ns: int) -> int:
        """Return the due time of a frame by the file, or by the usual step where the file has none."""
        own_ns = time_ns(decoded)
        if own_ns is None:
            return usual_ns
        if self._first_time_ns is None:
            self._first_time_ns = own_ns - (usual_ns - self._start_ns)  # damaged ones came before it
        due_ns = self._start_ns + own_ns - self._first_time_ns
        return due_ns if due_ns > self._last.due_ns else usual_ns

    def _rewind(self, start_ns: int) -> None:
        """Start the file again, where it is to loop."""
        if start_ns == self._start_ns:
            raise CameraError(f"{self._name}: holds no frame that can be decoded; replace the file")
        if not self._config.loop:
            raise EndOfStream
        if self._video is not None:
            self._video.close()
        self._video = self._opened()
        self._start_ns = start_ns
        self._first_time_ns = None
