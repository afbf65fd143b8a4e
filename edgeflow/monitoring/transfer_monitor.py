"""Latency of cameras' images from exposure to arrival, and an alarm where it mixes parts."""

from __future__ import annotations

from collections import deque

from edgeflow.cameras.camera import Frame
from edgeflow.config.box import BoxConfig

__all__ = ["TransferMonitor"]

_FRAMES = 20  # latest ones of a camera, of which the slowest counts


class TransferMonitor:
    """Measures every frame from the first one on, before any part is inspected; pure.

    ``problem`` says which camera's images come too late, or at moments that are not known well enough.
    """

    def __init__(self, config: BoxConfig) -> None:
        self._config = config
        self._latencies_ns: dict[str, deque[int]] = {}
        self._unsure_ns: dict[str, int | None] = {}

    def arrived(self, frame: Frame, arrived_ns: int) -> None:
        """Take the arrival of a frame (monotonic)."""
        if frame.device_ns is None:
            return
        self._unsure_ns[frame.view] = frame.unsure_ns
        if frame.unsure_ns is not None:
            latest = self._latencies_ns.setdefault(frame.view, deque(maxlen=_FRAMES))
            latest.append(arrived_ns - frame.captured_ns)

    def latencies_ms(self) -> dict[str, float]:
        """Return view → time from exposure to arrival, where the camera has a clock."""
        return {view: max(values) / 1e6 for view, values in self._latencies_ns.copy().items()}

    @property
    def problem(self) -> str:
        """Reason why parts are not decided, or not for sure; empty where there is none."""
        problems = [self._late(view, ms) for view, ms in self.latencies_ms().items()]
        if self._config.trigger.source == "hardware":
            problems += [self._untold(view, ns) for view, ns in self._unsure_ns.items()]
        return next(filter(None, problems), "")

    def _late(self, view: str, latency_ms: float) -> str:
        trigger = self._config.trigger
        text = f"camera '{view}': images take {latency_ms:.0f} ms from exposure to arrival"
        if latency_ms >= trigger.timeout_ms:
            return (
                f"{text}, longer than trigger.timeout_ms {trigger.timeout_ms:g}: this view is missing in "
                "every part; send less (region, bytes per pixel), use a quicker link, or raise the timeout"
            )
        period_ms = trigger.period_ms or trigger.min_period_ms
        if trigger.source in ("interval", "mqtt") and period_ms is not None and latency_ms >= period_ms:
            return (
                f"{text}, and triggers are {period_ms:g} ms apart: images are told apart by counting, and a "
                "trigger that the camera ignores costs several parts; send less, or use a quicker link"
            )
        return ""

    def _untold(self, view: str, unsure_ns: int | None) -> str:
        sync, trigger = self._config.sync, self._config.trigger
        if unsure_ns is not None:
            known_ms = 2 * unsure_ns / 1e6
        elif sync.transfer_ms is not None:
            known_ms = sync.transfer_ms
        elif trigger.part_ids is None and sync.window_ms is not None:
            return ""
        else:
            return (
                f"camera '{view}': has no time-stamp latch, so that nothing tells when an image was exposed, "
                "and no part is decided: give sync.transfer_ms, how long its quickest image takes at most"
            )
        window_ms = trigger.part_id_window_ms
        if window_ms is None:
            return ""
        least_ms = trigger.min_period_ms or 2 * window_ms
        if known_ms + window_ms < least_ms:
            return ""
        return (
            f"camera '{view}': exposures are known within {known_ms:.0f} ms; with part_id_window_ms "
            f"{window_ms:g}, parts that may be {least_ms:g} ms apart cannot be named for sure: use a camera "
            "with a time-stamp latch, lower the window, or give trigger.min_period_ms"
        )
