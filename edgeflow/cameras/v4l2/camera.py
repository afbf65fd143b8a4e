"""USB cameras through Video4Linux; their settings are written, locked and read back."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Limits of the JPEG decoder: a camera's frame says its own size. Read once, when cv2 is imported.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", "64000000")

import cv2
import numpy as np

from edgeflow.cameras.camera import Frame, FrameLost
from edgeflow.cameras.v4l2.usb import usb_serial
from edgeflow.clock import monotonic_ns
from edgeflow.config.box import V4l2Config
from edgeflow.contracts.images import RgbImage
from edgeflow.errors import CameraError

__all__ = ["V4l2Camera", "captured_at_ns", "setting_problems", "settings_of"]

if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_LONGEST_WAIT_NS = 60 * 10**9  # in the driver's buffers; a stamp further away is of another clock
_MANUAL_EXPOSURE = 1.0  # V4L2_EXPOSURE_MANUAL
_EXPOSURE_STEP_US = 100.0  # V4L2_CID_EXPOSURE_ABSOLUTE counts in these

_PROPERTIES = {
    "fourcc": cv2.CAP_PROP_FOURCC,
    "width": cv2.CAP_PROP_FRAME_WIDTH,
    "height": cv2.CAP_PROP_FRAME_HEIGHT,
    "fps": cv2.CAP_PROP_FPS,
    "automatic exposure": cv2.CAP_PROP_AUTO_EXPOSURE,
    "exposure_us": cv2.CAP_PROP_EXPOSURE,
    "gain": cv2.CAP_PROP_GAIN,
    "automatic white balance": cv2.CAP_PROP_AUTO_WB,
    "white_balance_k": cv2.CAP_PROP_WB_TEMPERATURE,
}
_ROUNDED = frozenset({"fps", "exposure_us", "white_balance_k"})  # in the driver's steps


class V4l2Camera:
    """A camera that runs by itself; software triggers are ignored. ``read`` waits for its next frame."""

    def __init__(self, view: str, config: V4l2Config) -> None:
        self._view = view
        self._config = config
        self._name = f"camera '{view}' ({config.device})"
        self._capture: Any = None
        self._serial: str | None = None
        self._count = 0

    @property
    def view(self) -> str:
        """View that the camera delivers."""
        return self._view

    @property
    def serial(self) -> str | None:
        """Serial number of the USB device."""
        return self._serial

    def open(self, epoch_ns: int) -> None:  # noqa: ARG002 - a live camera has no start of its own
        """Open the device, set what is configured, and read it back.

        Raises:
            CameraError: not there, no permission, in use, or does not do as configured.
        """
        self.close()
        device = self._config.device
        if not Path(device).exists():
            raise CameraError(f"{self._name}: no such device; check its cable, then ls /dev/v4l/by-id")
        if not os.access(device, os.R_OK | os.W_OK):
            raise CameraError(f"{self._name}: no permission; add edgeflow's user to the group 'video'")
        limits = [cv2.CAP_PROP_READ_TIMEOUT_MSEC, round(self._config.read_timeout_ms)]
        capture = cv2.VideoCapture(device, cv2.CAP_V4L2, limits)
        if not capture.isOpened():
            raise CameraError(f"{self._name}: cannot be opened; check that no other program uses it")
        self._capture = capture
        self._serial = usb_serial(device)
        wanted = settings_of(self._config)
        for name, value in wanted.items():
            capture.set(_PROPERTIES[name], _as_number(name, value))
        problems = setting_problems(wanted, {name: self._get(name) for name in wanted})
        if problems:
            self.close()
            raise CameraError(
                f"{self._name}: does not do as configured; choose what the camera offers: "
                f"v4l2-ctl -d {device} --list-formats-ext --list-ctrls",
                problems=problems,
            )

    def trigger(self, trigger_id: str) -> None:
        """Ignored: the camera runs by itself."""

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - limited by read_timeout_ms
        """Return the next frame; this may take up to ``read_timeout_ms``.

        Raises:
            FrameLost: a frame came that cannot be decoded.
            CameraError: no frame in time, or the device is gone.
        """
        if self._capture is None:
            raise CameraError(f"{self._name}: read before it was opened")
        grabbed = False
        with contextlib.suppress(cv2.error):
            grabbed = bool(self._capture.grab())
        arrived_ns = monotonic_ns()
        if not grabbed:
            limit_ms = self._config.read_timeout_ms
            raise CameraError(f"{self._name}: no frame within {limit_ms:g} ms; check cable and power")
        self._count += 1
        captured_ns = captured_at_ns(float(self._capture.get(cv2.CAP_PROP_POS_MSEC)), arrived_ns)
        image = self._retrieve()
        if image is None:
            raise FrameLost(f"{self._name}: frame {self._count - 1} cannot be decoded")
        return Frame(view=self._view, image=image, captured_ns=captured_ns, frame_id=self._count - 1)

    def close(self) -> None:
        """Release the device; safe to call twice."""
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

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
        value = float(self._capture.get(_PROPERTIES[name]))
        if name == "exposure_us":
            return value * _EXPOSURE_STEP_US
        if name != "fourcc":
            return value
        return int(value).to_bytes(4, "little").decode("latin-1") if value > 0 else "unknown"


def captured_at_ns(buffer_ms: float, arrived_ns: int) -> int:
    """Return the time of a picture: the driver's stamp if it is monotonic, otherwise the arrival.

    A picture that waited in the driver's buffers, or for its reader, keeps its moment.

    Args:
        buffer_ms: the buffer's time stamp; 0 where there is none. Some drivers stamp with other clocks.
    """
    stamp_ns = round(buffer_ms * 1e6)
    if stamp_ns > 0 and 0 <= arrived_ns - stamp_ns <= _LONGEST_WAIT_NS:
        return stamp_ns
    return arrived_ns


def settings_of(config: V4l2Config) -> dict[str, float | str]:
    """Controls that the box file requires, in the order in which drivers want them set.

    An exposure or white balance that is given turns the automatic one off first, which would
    otherwise overwrite it.
    """
    automatic_exposure = None if config.exposure_us is None else _MANUAL_EXPOSURE
    automatic_balance = None if config.white_balance_k is None else 0.0
    values = {
        "fourcc": config.fourcc,
        "width": config.width,
        "height": config.height,
        "fps": config.fps,
        "automatic exposure": automatic_exposure,
        "exposure_us": config.exposure_us,
        "gain": config.gain,
        "automatic white balance": automatic_balance,
        "white_balance_k": config.white_balance_k,
    }
    return {name: value for name, value in values.items() if value is not None}


def setting_problems(wanted: Mapping[str, float | str], got: Mapping[str, float | str]) -> list[str]:
    """Return the settings that a device did not take; 1 % is allowed, since drivers round some of them."""
    problems = []
    for name, value in wanted.items():
        actual = got[name]
        if isinstance(value, str) or isinstance(actual, str):
            same = value == actual
        else:
            same = math.isclose(value, actual, rel_tol=0.01 if name in _ROUNDED else 0)
        if not same:
            shown = actual if isinstance(actual, str) else f"{actual:g}"
            problems.append(f"{name} is {shown} instead of {value}")
    return problems


def _as_number(name: str, value: float | str) -> float:
    """A setting's value as OpenCV wants it."""
    if isinstance(value, str):
        return float(cv2.VideoWriter.fourcc(*value))
    return value / _EXPOSURE_STEP_US if name == "exposure_us" else float(value)
