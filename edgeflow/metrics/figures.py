"""All figures of a running box at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edgeflow.cameras.worker import CameraHealth
from edgeflow.contracts.messages import Alarm, AlarmCode, StateName
from edgeflow.metrics.part_metrics import PartFigures

__all__ = [
    "BoxFigures",
    "BundleFigures",
    "CandidateFigures",
    "EvidenceFigures",
    "LinkFigures",
    "OutboxFigures",
    "WatchdogFigures",
]


@dataclass(frozen=True, kw_only=True)
class BundleFigures:
    """The bundle and the graph that inspect."""

    name: str
    version: int
    sha256: str
    graph: str
    backend: str
    precision: str


@dataclass(frozen=True, kw_only=True)
class OutboxFigures:
    """Results in the outbox.

    Attributes:
        waiting: that are to be delivered, stored or about to be.
        oldest_age_s: running time since the oldest was stored; 0 where none waits.
        set_aside: that can never be delivered.
        dropped: given up since the box started.
        bytes: of all stored rows.
    """

    waiting: int
    oldest_age_s: float
    set_aside: int
    dropped: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class LinkFigures:
    """Connection to the broker, and the decisions that did not arrive, since the box started."""

    connected: bool
    connections: int
    decisions_unsent: int
    decisions_refused: int


@dataclass(frozen=True, kw_only=True)
class EvidenceFigures:
    """Evidence on the disk.

    Attributes:
        lost: parts whose evidence was wanted but could not be kept, since the box started.
    """

    bytes: int
    parts: int
    lost: int


@dataclass(frozen=True, kw_only=True)
class WatchdogFigures:
    """The service manager's watchdog.

    Attributes:
        supervised: a service manager restarts the box where its watchdog is not fed.
        limit_s: so long it waits; None where it does not watch.
        fed_age_s: since it was last fed; None where it never was.
    """

    supervised: bool
    limit_s: float | None
    fed_age_s: float | None


@dataclass(frozen=True, kw_only=True)
class CandidateFigures:
    """The candidate bundle beside the running one, since the box started.

    Attributes:
        comparing: it is loaded and takes parts.
        outcomes: compared parts, by outcome.
        skipped: parts that were not compared, by reason.
        ended: its processes that crashed, hung or grew too large.
    """

    comparing: bool
    outcomes: Mapping[str, int]
    skipped: Mapping[str, int]
    ended: int


@dataclass(frozen=True, kw_only=True)
class BoxFigures:
    """Everything that metrics tell.

    Attributes:
        session: of this run of the box.
        outbox: None where its file cannot be read.
        evidence: None where the box keeps none.
        cameras: by view.
        alarms: standing ones.
        alarms_raised: code → how often, since the box started.
        memory_bytes: resident memory of the box's main process.
        temperatures_c: sensor → °C.
        products: product → True while its bundle is loaded; empty on a box with one bundle.
        candidate: None where no candidate bundle runs beside.
    """

    session: str
    state: StateName
    bundle: BundleFigures
    parts: PartFigures
    outbox: OutboxFigures | None
    link: LinkFigures
    cameras: Mapping[str, CameraHealth]
    alarms: tuple[Alarm, ...]
    alarms_raised: Mapping[AlarmCode, int]
    history_missed: int
    evidence: EvidenceFigures | None
    watchdog: WatchdogFigures
    memory_bytes: int
    temperatures_c: Mapping[str, float]
    products: Mapping[str, bool] = field(default_factory=dict)
    candidate: CandidateFigures | None = None
