"""What capture takes from a box file: its synchronizer, its limits, and whether cameras and views agree."""

from __future__ import annotations

from collections.abc import Sequence

from edgeflow.capture.synchronizer import Synchronizer, SyncMode
from edgeflow.config.box import BoxConfig, CameraConfig, FileConfig, ReplayConfig, RtspConfig
from edgeflow.contracts.manifest import Preprocessing
from edgeflow.errors import ConfigError

__all__ = [
    "as_bundle_reads",
    "check_views",
    "is_named",
    "late_message_ms",
    "make_synchronizer",
    "open_limit_s",
]

_DRIVER_OPEN_S = 10.0


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


def is_named(config: BoxConfig) -> bool:
    """Whether every part has a trigger of its own that the box knows."""
    return config.trigger.source in ("interval", "mqtt") or config.trigger.part_ids is not None


def make_synchronizer(config: BoxConfig, views: Sequence[str], session: str) -> Synchronizer:
    trigger, sync = config.trigger, config.sync
    modes: dict[str, SyncMode] = {"free": "free", "hardware": "hardware"}
    return Synchronizer(
        views,
        max_skew_ms=sync.max_skew_ms,
        timeout_ms=trigger.timeout_ms,
        mode=modes.get(trigger.source, "triggered"),
        session=session,
        window_ms=sync.window_ms,
        frame_delay_ms=sync.frame_delay_ms,
        announce_ms=trigger.part_id_window_ms,
        transfer_ms=sync.transfer_ms,
        min_period_ms=trigger.min_period_ms,
    )


def late_message_ms(config: BoxConfig) -> float:
    """How long a trigger message may be held up: half of what tells one part from the next."""
    least_ms = config.trigger.min_period_ms
    window_ms = config.sync.window_ms or config.trigger.timeout_ms
    return min(window_ms, least_ms or window_ms) / 2


def open_limit_s(config: BoxConfig) -> float:
    own_ms = [c.open_timeout_ms for c in config.cameras.values() if not isinstance(c, ReplayConfig)]
    return max(own_ms, default=0) / 1000 + _DRIVER_OPEN_S
