"""Check that a box can tell parts apart, as far as its file shows."""

from __future__ import annotations

from collections.abc import Iterator

from edgeflow.cameras.genicam.features import read_features
from edgeflow.config.box import BoxConfig, CameraConfig, GenicamConfig, ReplayConfig, V4l2Config
from edgeflow.diagnostics.findings import Finding, ok, warning

__all__ = ["sync_findings"]


def sync_findings(config: BoxConfig) -> Iterator[Finding]:
    """Tolerances, compared with the time between two parts.

    Raises:
        ConfigError: a camera's feature file cannot be read.
    """
    if config.trigger.source == "free":
        yield from _free(config)
    elif config.trigger.source == "hardware":
        yield from _hardware(config)
    elif any(isinstance(camera, GenicamConfig) for camera in config.cameras.values()):
        yield ok(
            "sync",
            f"images may take {config.trigger.timeout_ms:g} ms from trigger to arrival; what they take is "
            "measured at the start: see the birth message, and alarm/sync_latency",
        )


def _hardware(config: BoxConfig) -> Iterator[Finding]:
    """Messages that name the sets of cameras on a trigger line."""
    window_ms, transfer_ms = config.trigger.part_id_window_ms, config.sync.transfer_ms
    if transfer_ms is None:
        yield ok("sync", "every camera needs a time-stamp latch; for one without, give sync.transfer_ms")
    if window_ms is None:
        return
    least_ms = config.trigger.min_period_ms or 2 * window_ms
    text = f"trigger.part_id_window_ms {window_ms:g}, parts are at least {least_ms:g} ms apart: "
    if 2 * window_ms > least_ms:
        yield warning("sync", f"{text}a message may fit two parts; lower the window below {least_ms / 2:g}")
    elif transfer_ms is not None and transfer_ms + window_ms >= least_ms:
        yield warning(
            "sync",
            f"{text}with sync.transfer_ms {transfer_ms:g}, parts seen by a camera without time-stamp latch "
            "cannot be named for sure; lower both, or give trigger.min_period_ms",
        )
    else:
        yield ok("sync", f"{text}no part takes its neighbour's name")


def _free(config: BoxConfig) -> Iterator[Finding]:
    """``max_skew_ms`` against the time between the frames of the fastest camera."""
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
