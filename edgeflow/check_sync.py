"""Whether a box that pairs frames by time alone can tell parts apart, as far as its file says."""

from __future__ import annotations

from collections.abc import Iterator

from edgeflow.cameras.features import read_features
from edgeflow.config import BoxConfig, CameraConfig, GenicamConfig, ReplayConfig, V4l2Config
from edgeflow.findings import Finding, ok, warning

__all__ = ["sync_findings"]


def sync_findings(config: BoxConfig) -> Iterator[Finding]:
    """For source free: ``max_skew_ms`` against the time between the frames of the fastest camera.

    Raises:
        ConfigError: a camera's feature file cannot be read.
    """
    if config.trigger.source != "free":
        return
    rates = {view: rate for view, camera in config.cameras.items() if (rate := _frame_rate(camera))}
    if not rates:
        yield ok(
            "sync", "frame rates are not given: alarm/sync_ambiguous tells whether parts can be told apart"
        )
        return
    view = max(rates, key=lambda name: rates[name])
    between_ms, tolerance_ms = 1000 / rates[view], config.sync.max_skew_ms
    text = f"sync.max_skew_ms {tolerance_ms:g}, frames of {view} are {between_ms:.1f} ms apart: "
    left_ms = between_ms - tolerance_ms
    if left_ms <= 0:
        yield warning("sync", f"{text}frames of two parts can be taken for one; lower it well below that")
    elif left_ms < tolerance_ms:
        yield warning(
            "sync",
            f"{text}parts can be told apart only where their views are less than {left_ms:.1f} ms apart; "
            f"lower it to {between_ms / 2:.1f}, or below {between_ms:.1f} less the views' spread",
        )
    else:
        yield ok("sync", f"{text}no two parts can be taken for one")


def _frame_rate(camera: CameraConfig) -> float | None:
    """Frames a second of a camera that runs by itself; None where the box file does not say."""
    match camera:
        case V4l2Config():
            return camera.fps
        case ReplayConfig():
            return camera.rate_hz
        case GenicamConfig():
            features = read_features(camera.features) if camera.features else {}
            rate = features.get("AcquisitionFrameRate")
            return float(rate) if isinstance(rate, int | float) else None
        case _:
            return None
