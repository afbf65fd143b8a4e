"""Metrics of a whole box: reads the counters of its services when somebody asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from edgeflow.alarms import Alarms
from edgeflow.cameras.worker import CameraHealth
from edgeflow.contracts.messages import StateName
from edgeflow.errors import StorageError
from edgeflow.metrics.figures import (
    BoxFigures,
    BundleFigures,
    CandidateFigures,
    EvidenceFigures,
    LinkFigures,
    OutboxFigures,
    WatchdogFigures,
)
from edgeflow.metrics.part_metrics import PartMetrics
from edgeflow.metrics.system import THERMAL, resident_bytes, temperatures_c
from edgeflow.mqtt.link import MqttLink

__all__ = ["BoxMetrics", "Sources"]


class _Tally(Protocol):
    @property
    def aside(self) -> int: ...
    @property
    def bytes(self) -> int: ...


class _Outbox(Protocol):
    @property
    def tally(self) -> _Tally: ...
    @property
    def dropped(self) -> int: ...
    def count(self) -> int: ...
    def oldest_age_s(self) -> float | None: ...


class _Evidence(Protocol):
    @property
    def kept_bytes(self) -> int: ...
    @property
    def kept_parts(self) -> int: ...
    @property
    def lost(self) -> int: ...


@dataclass(frozen=True, kw_only=True)
class Sources:
    """Services of a box whose counters are read; none of them waits for the line.

    Attributes:
        history_missed: results that the history left out; None where the box keeps none.
        products: product → True while its bundle is loaded; empty on a box with one bundle.
        thermal: folder of the system's temperature sensors.
    """

    session: str
    state: Callable[[], StateName]
    bundle: Callable[[], BundleFigures]
    alarms: Alarms
    link: MqttLink
    outbox: _Outbox
    cameras: Callable[[], Mapping[str, CameraHealth]]
    evidence: _Evidence | None
    history_missed: Callable[[], int]
    watchdog: Callable[[], WatchdogFigures]
    products: Callable[[], Mapping[str, bool]] = dict
    thermal: Path = THERMAL
    candidate: Callable[[], CandidateFigures | None] = lambda: None


class BoxMetrics:
    """Figures of a box, made anew at every call; for any thread but the line's."""

    def __init__(self, sources: Sources, parts: PartMetrics) -> None:
        self._sources = sources
        self.parts = parts

    def figures(self) -> BoxFigures:
        """Return the figures of this moment."""
        self.parts.take_in()
        sources = self._sources
        return BoxFigures(
            session=sources.session,
            state=sources.state(),
            bundle=sources.bundle(),
            parts=self.parts.figures(),
            outbox=self._outbox(),
            link=self._link(),
            cameras=sources.cameras(),
            alarms=sources.alarms.standing(),
            alarms_raised=sources.alarms.raised(),
            history_missed=sources.history_missed(),
            evidence=self._evidence(),
            watchdog=sources.watchdog(),
            memory_bytes=resident_bytes(),
            temperatures_c=temperatures_c(sources.thermal),
            products=sources.products(),
            candidate=sources.candidate(),
        )

    def _outbox(self) -> OutboxFigures | None:
        outbox = self._sources.outbox
        try:
            oldest_age_s = outbox.oldest_age_s() or 0.0
        except StorageError:  # the outbox raises its own alarm
            return None
        return OutboxFigures(
            waiting=outbox.count(),
            oldest_age_s=oldest_age_s,
            set_aside=outbox.tally.aside,
            dropped=outbox.dropped,
            bytes=outbox.tally.bytes,
        )

    def _link(self) -> LinkFigures:
        link = self._sources.link
        return LinkFigures(
            connected=link.connected,
            connections=link.connections,
            decisions_unsent=link.decisions_unsent,
            decisions_refused=link.gate.refused,
        )

    def _evidence(self) -> EvidenceFigures | None:
        evidence = self._sources.evidence
        if evidence is None:
            return None
        return EvidenceFigures(bytes=evidence.kept_bytes, parts=evidence.kept_parts, lost=evidence.lost)
