"""Sinks of a line: everything that takes what it has decided, and never lets it wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from edgeflow.contracts.images import RgbImage
from edgeflow.contracts.messages import Decision, Result, VerdictName
from edgeflow.evidence.writer import EvidenceJob, Reserved
from edgeflow.history.records import HistoryEntry
from edgeflow.live import LivePart
from edgeflow.monitoring.drift.accepted_part import AcceptedPart
from edgeflow.monitoring.view_appearance import Baseline
from edgeflow.shadow.runner import FinishedPart

__all__ = [
    "DriftSink",
    "EvidenceSink",
    "Gate",
    "HistorySink",
    "LiveSink",
    "MetricsSink",
    "ResultSink",
    "ShadowSink",
    "ViewSink",
]


class Gate(Protocol):
    """Takes decisions; never blocks."""

    def publish_decision(self, decision: Decision) -> bool:
        """Publish a decision; return False where it reached nobody."""


class ResultSink(Protocol):
    """Takes results for delivery, as the outbox does; never waits for a disk."""

    def put(self, result: Result) -> None:
        """Store one result and deliver it."""


class EvidenceSink(Protocol):
    """Takes images of parts for writing; never waits for a disk."""

    def reserve(self, result_id: str, verdict: VerdictName) -> Reserved | None:
        """Return the folder of a part's evidence, and why it is kept; None where none is kept."""

    def offer(self, job: EvidenceJob) -> bool:
        """Take a part for writing; return False where it is not kept."""


class HistorySink(Protocol):
    """Takes results for the record on the box; never waits."""

    def offer(self, entry: HistoryEntry) -> None:
        """Take one result."""


class MetricsSink(Protocol):
    """Takes results to count them; never waits."""

    def offer(self, result: Result) -> None:
        """Take one result."""


class DriftSink(Protocol):
    """Takes scores of accepted parts for the watch over their drift; never waits."""

    def offer(self, part: AcceptedPart) -> None:
        """Take one part."""


class ViewSink(Protocol):
    """Takes model images for watching the cameras; never waits."""

    def offer(self, images: Mapping[str, RgbImage], baseline: Baseline, product: str | None = None) -> None:
        """Take the images of one part, view → uint8 (H, W, 3)."""


class LiveSink(Protocol):
    """Takes finished parts for those who watch; never waits for them."""

    @property
    def watched(self) -> bool:
        """True if somebody watches, so that images are wanted."""

    def offer(self, part: LivePart) -> None:
        """Take one part; arrays are not copied."""


class ShadowSink(Protocol):
    """Takes finished parts for a candidate bundle; never waits for it."""

    def offer(self, part: FinishedPart) -> None:
        """Take one part; images are not copied."""
