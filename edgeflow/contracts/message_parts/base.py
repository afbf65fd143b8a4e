"""Base of all MQTT payloads."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from edgeflow.contracts.documents.document import Document, Text

__all__ = ["AnyTime", "Message", "Timestamp"]

Timestamp = Annotated[
    str,
    Text(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$",
        words="a time in UTC with a fraction (RFC 3339), such as 2026-11-28T13:00:00.5Z",
    ),
    Field(description="UTC, RFC 3339"),
]


AnyTime = Annotated[
    str,
    Text(
        pattern=r"^[0-9]{4}(-[0-9]{2}){2}[Tt ][0-9]{2}(:[0-9]{2}){2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
        words="a time of RFC 3339 with Z or an offset, such as 2026-11-28T14:00:00+01:00",
    ),
    Field(description="RFC 3339"),
]
"""As other programs write times."""


class Message(Document):
    """Base of all payloads; ``schema`` names message and major version.

    Later versions only add optional fields under the same name, so that readers ignore what they do not
    know; to take a field away, or to change what one means, takes the next number.
    """

    unknown_fields: ClassVar[Literal["forbid", "ignore"]] = "ignore"
    """Treatment of unknown fields by a reader. Only known ones are written."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    @classmethod
    def tidied(cls, data: Any) -> Any:
        """Plain data as a sender may write it, in the form of the model."""
        return data
