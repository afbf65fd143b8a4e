"""Camera kinds and the drivers behind them, imported only when a box has such a camera."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import cast

from edgeflow.cameras.camera import Camera
from edgeflow.cameras.process import ProcessCamera
from edgeflow.config.box import CameraConfig
from edgeflow.errors import CameraError

__all__ = ["DRIVERS", "Driver", "make_camera", "make_driver"]


@dataclass(frozen=True, kw_only=True)
class Driver:
    """Module of a camera kind's driver, and True for a driver that runs in a child process."""

    module: str
    name: str
    isolated: bool = True


DRIVERS = {
    "file": Driver(module="edgeflow.cameras.streams.video_file", name="FileCamera"),
    "genicam": Driver(module="edgeflow.cameras.genicam.camera", name="GenicamCamera"),
    "replay": Driver(module="edgeflow.cameras.replay", name="ReplayCamera", isolated=False),
    "rtsp": Driver(module="edgeflow.cameras.streams.rtsp", name="RtspCamera"),
    "v4l2": Driver(module="edgeflow.cameras.v4l2.camera", name="V4l2Camera"),
}


def make_camera(view: str, config: CameraConfig) -> Camera:
    """A configured camera, not yet open; native drivers in a process of their own.

    Raises:
        CameraError: the driver's library is not installed or does not load.
    """
    if DRIVERS[config.kind].isolated:
        return ProcessCamera(view, config)
    return make_driver(view, config)


def make_driver(view: str, config: CameraConfig) -> Camera:
    """The driver of a configured camera in this process.

    Raises:
        CameraError: the driver's library is not installed or does not load.
    """
    driver = DRIVERS[config.kind]
    try:
        made = getattr(importlib.import_module(driver.module), driver.name)
    except ImportError as cause:
        raise CameraError(
            f"camera '{view}': kind '{config.kind}' cannot be loaded: {cause}; install what it needs"
        ) from cause
    return cast("Camera", made(view, config))
