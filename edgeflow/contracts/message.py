"""What all MQTT payloads share."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from edgeflow.contracts.document import Document

__all__ = ["Message", "Timestamp"]

Timestamp = Annotated[
    str, Field(description="UTC, RFC 3339", pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$")
]


class Message(Document):
    """Base of all payloads; ``schema`` names message and major version."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)
