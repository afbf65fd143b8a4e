"""The message ``metrics``: times, outbox, cameras and scores of a running box."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from edgeflow.contracts.message_parts.base import Message, Timestamp
from edgeflow.contracts.message_parts.names import StateName, VerdictName

__all__ = ["CameraMetrics", "Metrics", "OutboxMetrics", "StageMetrics", "ViewMetrics"]


def _is_empty(value: Mapping[str, object]) -> bool:
    return not value


class StageMetrics(Message):
    """Times of one stage in a period."""

    count: int = Field(description="parts that passed the stage in the period")
    p50_ms: float
    p99_ms: float
    max_ms: float


class ViewMetrics(Message):
    """Scores of one view in a period; 1.0 is the threshold."""

    count: int = Field(description="parts of which the view was scored in the period")
    p50: float
    p90: float
    p99: float


class OutboxMetrics(Message):
    """Results that wait in the outbox."""

    waiting: int
    oldest_age_s: float | None = Field(
        default=None, description="running time since the oldest was stored; null where none waits"
    )
    set_aside: int = Field(description="that can never be delivered, and are kept")
    dropped: int = Field(description="given up before they were delivered, since the box started")


class CameraMetrics(Message):
    """One camera."""

    status: Literal["online", "offline", "stale"]
    fps: float | None = None
    frames_lost: int = Field(description="came damaged or late and were not used, since the box started")
    reconnects: int = Field(description="since the box started")


class Metrics(Message):
    """Figures of the running box, every minute, not retained."""

    schema_: Literal["edgeflow/metrics/1"] = Field(default="edgeflow/metrics/1", alias="schema")
    session: str
    at: Timestamp
    period_s: float = Field(description="the period that stages and views are of, up to now")
    state: StateName
    bundle: str = Field(description="name of the bundle that inspects")
    bundle_version: int
    graph: str = Field(description="that runs, of the bundle's graphs")
    parts: dict[VerdictName, int] = Field(description="by verdict, since the box started")
    products: dict[str, dict[VerdictName, int]] = Field(
        default={},
        exclude_if=_is_empty,
        description="parts by product and verdict, since the box started; absent on a box with one bundle",
    )
    deadlines_missed: int = Field(description="parts that were decided too late, since the box started")
    stages: dict[str, StageMetrics] = Field(
        description="times by stage: acquire (trigger to last image), wait, score, decide, publish, total "
        "(trigger to verdict), store (on the disk), deliver (confirmed); those that no part passed are absent"
    )
    views: dict[str, ViewMetrics] = Field(
        description="scores by view, by PRODUCT.VIEW on a box with products; those not scored are absent"
    )
    outbox: OutboxMetrics | None = Field(default=None, description="results that wait; null: not readable")
    cameras: dict[str, CameraMetrics] = Field(description="by view")
    alarms: tuple[str, ...] = Field(description="standing ones: the code, and the subject where there is one")
    history_missed: int = Field(description="results missing in the history, since the box started")
    evidence_mb: float | None = Field(default=None, description="megabytes of evidence; null: none is kept")
    memory_mb: float = Field(description="resident memory of the box's main process")
    temperatures_c: dict[str, float] = Field(description="by sensor, where the system tells them")
