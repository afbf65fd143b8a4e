"""When a part is inspected, and which frames are one part."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeflow.config.units import Milliseconds
from edgeflow.contracts.documents.document import Document

__all__ = ["SyncConfig", "TriggerConfig"]

OnMissing = Literal["undecided", "ng", "degraded"]


class TriggerConfig(Document):
    """What starts the inspection of a part.

    ``interval``: a software trigger to all cameras every ``period_ms``.
    ``mqtt``: a software trigger to all cameras at every message on the ``trigger`` topic.
    ``hardware``: the cameras have a trigger line; their counters tell which frames are one part, and with
    ``part_ids: mqtt`` messages on the ``trigger`` topic name them.
    ``free``: cameras run by themselves; frames that belong together by time make a view set.
    """

    source: Literal["interval", "mqtt", "hardware", "free"]
    period_ms: Milliseconds | None = None
    timeout_ms: Milliseconds = Field(default=500, description="frames later than this are missing")
    part_ids: Literal["mqtt"] | None = Field(
        default=None, description="with source hardware: who names the parts; default: they are numbered"
    )
    part_id_window_ms: Milliseconds | None = Field(
        default=None,
        description="how far a message may be from its frames; less than half the time between two parts",
    )

    min_period_ms: Milliseconds | None = Field(
        default=None,
        description="the shortest time between two parts, where the line says when they come: messages held "
        "up for half of it are refused, and names are given only where they can be of no neighbour "
        "(default: twice part_id_window_ms)",
    )

    @model_validator(mode="after")
    def _period_belongs_to_interval(self) -> TriggerConfig:
        if (self.source == "interval") != (self.period_ms is not None):
            raise ValueError("period_ms goes with source: interval, and only with it")
        return self

    @model_validator(mode="after")
    def _names_belong_to_hardware(self) -> TriggerConfig:
        if self.part_ids and self.source != "hardware":
            raise ValueError("part_ids goes with source: hardware; triggers by mqtt name their parts anyway")
        if (self.part_ids is not None) != (self.part_id_window_ms is not None):
            raise ValueError("part_id_window_ms goes with part_ids, and only with it")
        return self

    @property
    def by_mqtt(self) -> bool:
        """Whether the box listens to the ``trigger`` topic."""
        return self.source == "mqtt" or self.part_ids == "mqtt"


class SyncConfig(Document):
    """When frames count as one part, and what becomes of a part with missing views."""

    max_skew_ms: Milliseconds
    window_ms: Milliseconds | None = Field(
        default=None,
        description="exposure, transfer and margin: frames stamped later than this after their trigger are "
        "not used (default: trigger.timeout_ms); with source hardware, how far apart transfer may pull the "
        "stamps of one moment (default: max_skew_ms)",
    )
    frame_delay_ms: Annotated[float, Field(ge=0, le=10_000)] = Field(
        default=0,
        description="of cameras that run by themselves and have no clock of their own (USB video, network "
        "streams), from the start of an exposure to the frame's stamp: "
        "what is stamped earlier than this after a trigger was exposed before it, and is not used",
    )
    transfer_ms: Milliseconds | None = Field(
        default=None,
        description="of cameras whose clock cannot be read (no GenICam time-stamp latch), how long the "
        "quickest image takes from its exposure to this box at most; without it, trigger source hardware "
        "cannot tell which part their images show",
    )
    on_missing: OnMissing = "undecided"
    min_views: int | None = Field(
        default=None, ge=1, description="with on_missing degraded: parts with fewer views are undecided"
    )

    @model_validator(mode="after")
    def _min_views_belong_to_degraded(self) -> SyncConfig:
        if (self.on_missing == "degraded") != (self.min_views is not None):
            raise ValueError("min_views goes with on_missing: degraded, and only with it")
        return self
