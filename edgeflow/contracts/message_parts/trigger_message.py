"""The trigger message, liberal in what it takes: controllers write ids, times and padding in many ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WithJsonSchema

from edgeflow.contracts.documents.document import Text
from edgeflow.contracts.message_parts.base import Message
from edgeflow.contracts.message_parts.context import Context
from edgeflow.contracts.message_parts.trigger_fields import tidy_trigger, utc_form

__all__ = ["TriggerMessage"]

LineName = Annotated[
    str,
    Text(
        pattern=r"^[^\x00-\x1f\x7f]{1,128}$", words="a name of 1 to 128 characters without control characters"
    ),
]


TriggerTime = Annotated[
    str,
    Text(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z$",
        words="a time of RFC 3339 with Z or an offset, such as 2026-11-28T14:00:00+01:00",
    ),
]
_NAME_OR_NUMBER = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 128}, {"type": "number"}]}
_DATE_TIME = {"type": "string", "format": "date-time"}


def _is_a_moment(text: str) -> str:
    if utc_form(text) is None:
        raise ValueError(f"{text}: there is no such date or time")
    return text


def _is_none(value: object) -> bool:
    return value is None


class TriggerMessage(Message):
    """From the line to the box: a part is in front of the cameras, or its cameras were triggered.

    Any other property that is a single value is carried into decision and result as context. Ids may be
    numbers: 1, 1.0 and "1" are one id. Padding with NUL is removed.
    """

    schema_: Literal["edgeflow/trigger/1"] = Field(default="edgeflow/trigger/1", alias="schema")
    trigger_id: Annotated[LineName, WithJsonSchema(_NAME_OR_NUMBER)] = Field(
        description="unique; a message that comes again is the same trigger"
    )
    part_id: Annotated[LineName, WithJsonSchema(_NAME_OR_NUMBER)] | None = Field(
        default=None, description="the part's own name; default: the trigger's"
    )
    encoder: Annotated[int, WithJsonSchema({"type": "number"})] | None = Field(
        default=None,
        description="the line's position, which tells the order of parts; it may wrap or begin anew",
    )
    at: Annotated[TriggerTime, AfterValidator(_is_a_moment), WithJsonSchema(_DATE_TIME)] | None = Field(
        default=None,
        description="when it was sent, by the sender's clock, with milliseconds: only differences count; "
        "without it, a message that was held up cannot be recognised, and a late copy hardly",
    )
    context: Context | None = Field(
        default=None, exclude_if=_is_none, description="may also be given at the top, beside trigger_id"
    )

    @classmethod
    def tidied(cls, data: Any) -> Any:
        """Fields in their places, as :func:`tidy_trigger` puts them."""
        return tidy_trigger(data).fields if isinstance(data, Mapping) else data
