"""Bounds beyond which a running box raises an alarm."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeflow.contracts.documents.document import Document

__all__ = ["AlarmsConfig"]

Seconds = Annotated[float, Field(gt=0, le=86_400)]
PartCount = Annotated[int, Field(ge=1, le=10_000)]


class AlarmsConfig(Document):
    """When what a line does is told as an alarm; ``docs/reference/alarms.md`` explains each one."""

    window_parts: PartCount = Field(default=50, description="the last parts, of which shares are counted")
    undecided_share: Annotated[float, Field(gt=0, le=1)] = Field(
        default=0.2, description="of the window; more of them UNDECIDED is an alarm"
    )
    overruns: PartCount = Field(
        default=5, description="parts of the window that were not scored because too many waited"
    )
    ng_in_a_row: PartCount = Field(default=20, description="parts, one after the other")
    no_part_s: Seconds | None = Field(
        default=None,
        description="without a part; default: with trigger.period_ms 20 periods, at least 10 s, else never",
    )
    connections: Annotated[int, Field(ge=2, le=1000)] = Field(
        default=5, description="to the broker within connections_min"
    )
    connections_min: Annotated[float, Field(gt=0, le=1440)] = Field(default=10, description="minutes")
    scoring_hangs_s: Seconds = Field(
        default=5, description="for one part, and at least decision.deadline_ms; then scoring hangs"
    )
