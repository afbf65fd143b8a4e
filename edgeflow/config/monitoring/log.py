"""Section ``log``: form of the running box's log."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Document

__all__ = ["LogConfig", "LogFormat"]

LogFormat = Literal["text", "json", "journal"]


class LogConfig(Document):
    """Log of the running box."""

    format: LogFormat = Field(
        default="text",
        description="text: lines for people on standard error; json: one JSON object a line there; journal: "
        "to journald with fields of their own, which needs the extra journal",
    )
