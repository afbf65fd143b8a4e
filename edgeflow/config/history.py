"""Sections ``history`` and ``shifts``: the record of all results on the box, and the day of the site."""

from __future__ import annotations

import zoneinfo
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from edgeflow.contracts.documents.document import Document, Text

__all__ = ["HistoryConfig", "ShiftsConfig"]

ShiftName = Annotated[
    str,
    Text(
        pattern=r"^[^\s,:/\x00-\x1f\x7f][^,:/\x00-\x1f\x7f]{0,31}$",
        words="a name of up to 32 characters without , : /",
    ),
]
TimeOfDay = Annotated[
    str, Text(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$", words='a time of day in quotes, such as "06:00"')
]


class HistoryConfig(Document):
    """Every result without its images, and all labels, in a database of their own on the box."""

    enabled: bool = Field(default=True, description="false: no result is recorded")
    path: Path | None = Field(
        default=None, description="SQLite file of the history; default: history.db beside the outbox"
    )
    max_days: float = Field(
        default=400,
        gt=0,
        description="results are removed after so many days of the box's running time; labelled ones stay",
    )
    max_mb: float = Field(
        default=1000,
        ge=1,
        description="megabytes of results; beyond it, the oldest ones without a label are removed",
    )
    min_free_mb: float = Field(
        default=200,
        ge=0,
        description="megabytes of free disk below which nothing is recorded: the outbox needs it",
    )


class ShiftsConfig(Document):
    """Shifts of the site: each lasts until the next one starts, every day."""

    time_zone: str = Field(
        default="UTC",
        description="time zone of the site by its IANA name, such as Europe/Berlin; times are shown in it",
    )
    starts: dict[ShiftName, TimeOfDay] = Field(
        min_length=1,
        max_length=24,
        description='start of each shift by its name: {early: "06:00", late: "14:00", night: "22:00"}',
    )

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The time zone of the site."""
        return zoneinfo.ZoneInfo(self.time_zone)

    @field_validator("time_zone")
    @classmethod
    def _zone_is_known(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as cause:
            raise ValueError(
                f"'{value}' is no time zone that this computer knows; give an IANA name such as "
                "Europe/Berlin, and install tzdata where the system has none"
            ) from cause
        return value

    @model_validator(mode="after")
    def _starts_differ(self) -> ShiftsConfig:
        if len(set(self.starts.values())) != len(self.starts):
            raise ValueError("starts: two shifts start at the same time")
        return self
