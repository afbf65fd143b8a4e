"""Camera kinds and the drivers behind them, imported only when a box has such a camera."""

from __future__ import annotations

import importlib
from typing import cast

from edgeflow.cameras.base import Camera
from edgeflow.config import CameraConfig
from edgeflow.errors import CameraError

__all__ = ["DRIVERS", "make_camera"]

DRIVERS = {
    "opencv": ("edgeflow.cameras.opencv", "OpenCvCamera"),
    "replay": ("edgeflow.cameras.replay", "ReplayCamera"),
}


def make_camera(view: str, config: CameraConfig) -> Camera:
    """The driver of a configured camera, not yet open.

    Raises:
        CameraError: the driver's library is not installed or does not load.
    """
    module, name = DRIVERS[config.kind]
    try:
        driver = getattr(importlib.import_module(module), name)
    except ImportError as cause:
        raise CameraError(
            f"camera '{view}': kind '{config.kind}' cannot be loaded: {cause}; install what it needs"
        ) from cause
    return cast("Camera", driver(view, config))
