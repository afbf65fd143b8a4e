"""Cameras of a box file compared with the views of a bundle."""

from __future__ import annotations

from collections.abc import Sequence

from edgeflow.config.box import BoxConfig, CameraConfig, FileConfig, ReplayConfig, RtspConfig
from edgeflow.contracts.manifest import Preprocessing
from edgeflow.errors import ConfigError

__all__ = ["as_bundle_reads", "check_views"]


def check_views(config: BoxConfig, views: Sequence[str]) -> None:
    """Every view of the bundle needs a camera, every camera a view.

    Raises:
        ConfigError: names all views without camera and all cameras without view.
    """
    problems = [
        f"cameras.{view}: missing; the bundle has this view" for view in views if view not in config.cameras
    ]
    problems += [
        f"cameras.{name}: no view of the bundle; its views: {', '.join(views)}"
        for name in config.cameras
        if name not in views
    ]
    if problems:
        raise ConfigError("cameras and the bundle's views do not agree", problems=problems)


def as_bundle_reads(config: BoxConfig, spec: Preprocessing) -> BoxConfig:
    """The box file with its cameras reading depth and orientation as the bundle's own images were read.

    A bundle made before images were turned goes on as it did: what its streams say is ignored, and a
    recorded file that is to be turned is refused, since nobody knows how its model saw such files.
    """
    older = spec.orientation is None
    cameras: dict[str, CameraConfig] = {}
    for view, camera in config.cameras.items():
        update: dict[str, object] = {}
        if isinstance(camera, ReplayConfig):
            update["bits"] = camera.bits or spec.bits
            update["orientation"] = camera.orientation or ("refused" if older else "followed")
        elif isinstance(camera, FileConfig | RtspConfig):
            update["orientation"] = camera.orientation or ("ignored" if older else "followed")
        cameras[view] = camera.model_copy(update=update)
    return config.model_copy(update={"cameras": cameras})
