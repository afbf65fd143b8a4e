"""When a part is inspected, and which frames are one part."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from edgeflow.contracts.document import Document
from edgeflow.settings.units import Milliseconds, PolicyVerdict

__all__ = ["SyncConfig", "TriggerConfig"]


class TriggerConfig(Document):
    """What starts the inspection of a part.

    ``interval``: a software trigger to all cameras every ``period_ms``.
    ``free``: cameras run by themselves; frames that belong together by time make a view set.
    """

    source: Literal["interval", "free"]
    period_ms: Milliseconds | None = None
    timeout_ms: Milliseconds = Field(default=500, description="frames later than this are missing")

    @model_validator(mode="after")
    def _period_belongs_to_interval(self) -> TriggerConfig:
        if (self.source == "interval") != (self.period_ms is not None):
            raise ValueError("period_ms goes with source: interval, and only with it")
        return self


class SyncConfig(Document):
    """When frames count as one part."""

    max_skew_ms: Milliseconds
    on_missing: PolicyVerdict = "undecided"
