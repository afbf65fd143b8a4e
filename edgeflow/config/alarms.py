"""Bounds beyond which a running box raises an alarm."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeflow.contracts.documents.document import Document

__all__ = ["AlarmsConfig"]

Seconds = Annotated[float, Field(gt=0, le=86_400)]
PartCount = Annotated[int, Field(ge=1, le=10_000)]


class AlarmsConfig(Document):
    """Limits beyond which the line raises an alarm; ``docs/reference/alarms.md`` explains each one."""

    window_parts: PartCount = Field(
        default=50, description="number of latest parts over which undecided_share and overruns are counted"
    )
    undecided_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.2, description="alarm when a larger share of the window's parts is UNDECIDED"
    )
    overruns: PartCount = Field(
        default=5,
        description="alarm when so many parts of the window were not scored because too many waited",
    )
    ng_in_a_row: PartCount = Field(default=20, description="alarm when so many parts in a row are NG")
    score_drift: Annotated[float, Field(gt=0, le=3)] | None = Field(
        default=0.3,
        description="alarm when the scores of a view's good parts have drifted by so many standard "
        "deviations; null: never",
    )
    score_drift_parts: Annotated[int, Field(ge=100, le=20_000)] = Field(
        default=2000,
        description="good parts that later scores are compared with: the first ones under a bundle",
    )
    no_part_s: Seconds | None = Field(
        default=None,
        description="alarm after so many seconds without a part; default: 20 periods of trigger.period_ms, "
        "at least 10 s, where it is given, else never",
    )
    connections: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=5, description="alarm when the box connected to the broker so often within connections_min"
    )
    connections_min: Annotated[float, Field(gt=0, le=1440)] = Field(
        default=10, description="minutes over which connections are counted"
    )
    scoring_hangs_s: Seconds = Field(
        default=5,
        description="alarm when scoring one part takes so many seconds; at least decision.deadline_ms",
    )
