"""The history that a box file describes: each result with the alarms of its moment, and the site's shifts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

from edgeflow.alarms import Alarms
from edgeflow.config.box import BoxConfig
from edgeflow.history.database.store import Retention
from edgeflow.history.records import HistoryEntry
from edgeflow.history.shifts import DAYS_ALONE, ShiftPlan
from edgeflow.history.writer import History

__all__ = ["BoxHistory", "open_history", "shift_plan"]


@dataclass(frozen=True, kw_only=True)
class BoxHistory:
    """Takes results from the line and adds what else is true at that moment; never blocks.

    Attributes:
        ok_share: share of OK parts whose images the box keeps.
    """

    writer: History
    alarms: Alarms
    ok_share: float

    def start(self) -> None:
        """Start the writer."""
        self.writer.start()

    def offer(self, entry: HistoryEntry) -> None:
        """Take one result."""
        names = tuple(alarm.name for alarm in self.alarms.standing())
        self.writer.offer(replace(entry, alarms=names, ok_share=self.ok_share))

    def stored(self, result_ids: Sequence[str]) -> None:
        """Take note of results that the outbox has on the disk."""
        self.writer.stored(result_ids)

    def close(self) -> None:
        """Record what waits, then end."""
        self.writer.close()


def open_history(config: BoxConfig, alarms: Alarms) -> BoxHistory | None:
    """Return the history that a box file describes; None where it has none."""
    section = config.history
    if not section.enabled:
        return None
    writer = History(
        config.history_path,
        Retention(days=section.max_days, bytes=round(section.max_mb * 1e6)),
        alarms,
        min_free_bytes=round(section.min_free_mb * 1e6),
    )
    evidence = config.evidence
    share = 0.0 if evidence is None else 1.0 if "OK" in evidence.save else evidence.ok_sample
    return BoxHistory(writer=writer, alarms=alarms, ok_share=share)


def shift_plan(config: BoxConfig) -> ShiftPlan:
    """Return the shifts of a box file; without any, days of UTC."""
    shifts = config.shifts
    if shifts is None:
        return ShiftPlan(zone=ZoneInfo("UTC"), starts=DAYS_ALONE)
    return ShiftPlan(zone=shifts.zone, starts=shifts.starts)
