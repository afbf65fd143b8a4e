"""Alarms where triggers, frames and results disagree, or where parts are too close in time."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from edgeflow.alarms import Alarms
from edgeflow.cameras.camera import Frame
from edgeflow.capture.matching.part_spacing import PartSpacing
from edgeflow.capture.reconciliation import Reconciler, Tally
from edgeflow.capture.view_set import ViewSet
from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import AlarmCode, Severity
from edgeflow.monitoring.transfer_monitor import TransferMonitor

__all__ = ["SyncMonitor", "is_named"]

logger = logging.getLogger(__name__)


class SyncMonitor:
    """Counts every trigger, set and result; raises an alarm where they disagree. For one thread."""

    def __init__(self, config: BoxConfig, views: Sequence[str], alarms: Alarms | None) -> None:
        self._reconciler = Reconciler(views, named=is_named(config))
        self._part_spacing = _part_spacing(config)
        self._transfer = TransferMonitor(config)
        self._alarms = alarms
        self._mismatches = 0

    def arrived(self, frame: Frame, arrived_ns: int) -> None:
        """Take a frame, of a part or of none."""
        self._transfer.arrived(frame, arrived_ns)

    def latencies_ms(self) -> dict[str, float]:
        """Return view → time from exposure to arrival, where the camera has a clock."""
        return self._transfer.latencies_ms()

    def triggered(self, trigger_id: str) -> None:
        """Count a trigger."""
        self._reconciler.triggered(trigger_id)

    def decided(self) -> None:
        """Count a result."""
        self._reconciler.decided()

    def tally(self) -> Tally:
        """Return the counts of triggers, frames and results."""
        return self._reconciler.tally()

    def settled(self, view_sets: Sequence[ViewSet], mismatches: tuple[int, str]) -> None:
        """Count view sets; raise and clear alarms.

        Args:
            mismatches: how often counters and time contradicted each other so far, and how the last time.
        """
        for view_set in view_sets:
            self._reconciler.settled(view_set)
            if self._part_spacing is not None:
                self._part_spacing.settled(view_set)
        count, text = mismatches
        if count > self._mismatches:
            self._mismatches = count
            logger.warning("cameras are paired anew: %s", text)
            self._reconciler.mismatched(text)
        spacing = self._part_spacing.problem if self._part_spacing is not None else ""
        self._raise_or_clear("sync_mismatch", "error", self._reconciler.problem)
        self._raise_or_clear("sync_ambiguous", "warning", spacing)
        self._raise_or_clear("sync_latency", "error", self._transfer.problem)

    def _raise_or_clear(self, code: AlarmCode, severity: Severity, problem: str) -> None:
        if self._alarms is None:
            return
        if problem:
            self._alarms.raise_(code, severity, problem)
        else:
            self._alarms.clear(code)


def _part_spacing(config: BoxConfig) -> PartSpacing | None:
    """Return the check of part distances, for boxes that pair frames by time; None for all others."""
    sync, source = config.sync, config.trigger.source
    if source == "free":
        return PartSpacing(tolerance_ms=sync.max_skew_ms, setting="sync.max_skew_ms")
    if source == "hardware":
        window_ms = sync.window_ms or 0.0
        setting = "sync.window_ms" if window_ms > sync.max_skew_ms else "sync.max_skew_ms"
        return PartSpacing(tolerance_ms=max(window_ms, sync.max_skew_ms), setting=setting)
    return None


def is_named(config: BoxConfig) -> bool:
    """Return True when every part has a trigger that the box knows."""
    return config.trigger.source in ("interval", "mqtt") or config.trigger.part_ids is not None
