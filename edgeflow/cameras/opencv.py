"""Cameras read through OpenCV: a device, a video file played at its own rate, or a network stream."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from edgeflow.cameras.base import EndOfStream, Frame, FrameLost
from edgeflow.cameras.pace import Pace
from edgeflow.cameras.source import is_url, public_url
from edgeflow.clock import monotonic_ns
from edgeflow.config import OpenCvConfig
from edgeflow.contracts.images import RgbImage
from edgeflow.errors import CameraError

__all__ = ["OpenCvCamera", "format_problems"]

# The libraries print what goes wrong, with the credentials in a URL; our errors say it without them.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # FFmpeg's AV_LOG_QUIET; read at first use

_SCHEMES = frozenset({"http", "https", "rtmp", "rtmps", "rtp", "rtsp", "rtsps", "srt", "tcp", "udp"})
_MAX_FILE_FPS = 1000.0


class OpenCvCamera:
    """A camera that runs by itself; software triggers are ignored.

    A device or stream delivers as it comes; ``read`` may then take as long as ``read_timeout_ms``.
    A file is played at its own rate, in step with all sources of the same epoch; a slow reader
    misses frames.
    """

    def __init__(self, view: str, config: OpenCvConfig) -> None:
        self._view = view
        self._config = config
        self._name = f"camera '{view}' ({public_url(config.source)})"
        self._capture: Any = None
        self._pace: Pace | None = None
        self._next = 0  # number of the next frame to deliver
        self._grabbed = 0  # frames taken so far
        self._start = 0  # of which before this pass through a file

    @property
    def view(self) -> str:
        return self._view

    def open(self, epoch_ns: int) -> None:
        """Connect; a device is set to the configured format.

        Raises:
            CameraError: cannot be opened within ``open_timeout_ms``, or lacks the format.
        """
        self.close()
        source = self._config.source
        if source.lstrip("-").isdigit():
            raise CameraError(
                f"{self._name}: a number changes when cameras are plugged in another order; "
                "give the path that stays: ls /dev/v4l/by-id"
            )
        if source.startswith("/dev/"):
            self._open_device(source)
            return
        self._refuse_format()
        if is_url(source):
            self._open_stream(source)
        else:
            self._open_file(Path(source), epoch_ns)

    def trigger(self, trigger_id: str) -> None:
        """Ignored: the camera runs by itself."""

    def read(self, timeout_s: float) -> Frame | None:
        """The next frame; of a file: None when none is due within the timeout.

        Raises:
            FrameLost: a frame came that cannot be decoded.
            CameraError: no frame within ``read_timeout_ms``, or the connection is lost.
            EndOfStream: a file was played to its end.
        """
        if self._capture is None:
            raise CameraError(f"{self._name}: read before it was opened")
        return self._live() if self._pace is None else self._paced(self._pace, timeout_s)

    def close(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _open_device(self, device: str) -> None:
        if not Path(device).exists():
            raise CameraError(f"{self._name}: no such device; check its cable, then ls /dev/v4l/by-id")
        if not os.access(device, os.R_OK | os.W_OK):
            raise CameraError(f"{self._name}: no permission; add edgeflow's user to the group 'video'")
        self._connect(device, cv2.CAP_V4L2, [], "check that no other program uses it")
        wanted = _format(self._config)
        for name, value in wanted.items():
            self._capture.set(*_property(name, value))
        problems = format_problems(wanted, {name: self._get(name) for name in wanted})
        if problems:
            self.close()
            raise CameraError(
                f"{self._name}: has not the configured format: {', '.join(problems)}; "
                f"choose one of v4l2-ctl --list-formats-ext -d {device}"
            )

    def _refuse_format(self) -> None:
        names = ", ".join(_format(self._config))
        if names:
            raise CameraError(
                f"{self._name}: {names} can be set for a device only; "
                "remove them, and set a network camera's format in the camera itself"
            )

    def _open_stream(self, url: str) -> None:
        scheme = url.partition("://")[0].lower()
        if scheme not in _SCHEMES:
            raise CameraError(f"{self._name}: no network stream; use one of {', '.join(sorted(_SCHEMES))}")
        limit_ms = self._config.open_timeout_ms
        advice = f"no stream within {limit_ms:g} ms; check address, user, password, stream path and network"
        self._connect(url, cv2.CAP_FFMPEG, self._timeouts(), advice)

    def _open_file(self, path: Path, epoch_ns: int) -> None:
        if not path.is_file():
            raise CameraError(f"{self._name}: no such file; check cameras.{self._view}.source")
        self._connect(str(path), cv2.CAP_FFMPEG, self._timeouts(), "not a video that can be decoded")
        rate_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        if not 0 < rate_hz <= _MAX_FILE_FPS:
            self.close()
            raise CameraError(f"{self._name}: has no usable frame rate ({rate_hz:g}); convert the video")
        self._pace = Pace(epoch_ns=epoch_ns, rate_hz=rate_hz)
        self._grabbed = self._start = 0

    def _timeouts(self) -> list[int]:
        # OpenCV's own limits are 30 s, and only its FFmpeg reader honours these.
        return [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(self._config.open_timeout_ms),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(self._config.read_timeout_ms),
        ]

    def _connect(self, source: str, reader: int, parameters: list[int], advice: str) -> None:
        capture = None
        with contextlib.suppress(cv2.error):  # its text may repeat the URL
            capture = cv2.VideoCapture(source, reader, parameters)
        if capture is None or not capture.isOpened():
            raise CameraError(f"{self._name}: cannot be opened: {advice}")
        self._capture = capture

    def _live(self) -> Frame:
        grabbed = self._grab()
        captured_ns = monotonic_ns()
        if not grabbed:
            limit_ms = self._config.read_timeout_ms
            raise CameraError(
                f"{self._name}: no frame within {limit_ms:g} ms, or the connection is lost; "
                "check cable, power and network load"
            )
        return self._deliver(self._grabbed - 1, captured_ns)

    def _paced(self, pace: Pace, timeout_s: float) -> Frame | None:
        until_ns = monotonic_ns() + round(timeout_s * 1e9)
        number = max(self._next, pace.current(monotonic_ns()))
        while self._grabbed <= number:
            if not self._grab():
                self._rewind()
        due_ns = pace.due_ns(number)
        time.sleep(max(0, min(due_ns, until_ns) - monotonic_ns()) / 1e9)
        return self._deliver(number, due_ns) if due_ns <= until_ns else None

    def _grab(self) -> bool:
        grabbed = False
        with contextlib.suppress(cv2.error):
            grabbed = bool(self._capture.grab())
        self._grabbed += grabbed
        return grabbed

    def _rewind(self) -> None:
        """Start a file again, where it is to loop."""
        if self._grabbed == self._start:
            raise CameraError(f"{self._name}: holds no frame that can be decoded; replace the file")
        if not self._config.loop:
            raise EndOfStream
        self.close()
        self._connect(self._config.source, cv2.CAP_FFMPEG, self._timeouts(), "it was readable before")
        self._start = self._grabbed

    def _deliver(self, number: int, captured_ns: int) -> Frame:
        self._next = number + 1
        image = self._retrieve()
        if image is None:
            raise FrameLost(f"{self._name}: frame {number} cannot be decoded")
        return Frame(view=self._view, image=image, captured_ns=captured_ns, frame_id=number)

    def _retrieve(self) -> RgbImage | None:
        decoded, image = False, None
        with contextlib.suppress(cv2.error):
            decoded, image = self._capture.retrieve()
        if not decoded or image is None or image.dtype != np.uint8:
            return None
        from_grey = image.ndim == 2 or image.shape[2] == 1
        rgb: RgbImage = cv2.cvtColor(image, cv2.COLOR_GRAY2RGB if from_grey else cv2.COLOR_BGR2RGB)
        return rgb

    def _get(self, name: str) -> float | str:
        value = float(self._capture.get(_property(name, 0)[0]))
        if name != "fourcc":
            return value
        return int(value).to_bytes(4, "little", signed=False).decode("latin-1") if value > 0 else "unknown"


def _format(config: OpenCvConfig) -> dict[str, float | str]:
    """What the box file asks of the device, in the order in which drivers want it set."""
    values = {
        "fourcc": config.fourcc,
        "width": config.width,
        "height": config.height,
        "fps": config.fps,
    }
    return {name: value for name, value in values.items() if value is not None}


def _property(name: str, value: float | str) -> tuple[int, float]:
    """OpenCV's number for a setting, and its value as OpenCV wants it."""
    numbers = {
        "fourcc": cv2.CAP_PROP_FOURCC,
        "width": cv2.CAP_PROP_FRAME_WIDTH,
        "height": cv2.CAP_PROP_FRAME_HEIGHT,
        "fps": cv2.CAP_PROP_FPS,
    }
    return numbers[name], float(cv2.VideoWriter.fourcc(*value) if isinstance(value, str) else value)


def format_problems(wanted: Mapping[str, float | str], got: Mapping[str, float | str]) -> list[str]:
    """Where a device does not do as configured; drivers round frame rates, so 1 % is allowed there."""
    problems = []
    for name, value in wanted.items():
        actual = got[name]
        if isinstance(value, str) or isinstance(actual, str):
            same = value == actual
        else:
            same = math.isclose(value, actual, rel_tol=0.01 if name == "fps" else 0)
        if not same:
            shown = actual if isinstance(actual, str) else f"{actual:g}"
            problems.append(f"{name} is {shown} instead of {value}")
    return problems
