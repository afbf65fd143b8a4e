"""Parsing of trigger payloads: the message and its unused keys, or at least the part that it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edgeflow.contracts.message_parts.trigger_fields import tidy_trigger
from edgeflow.contracts.messages import TriggerMessage, parse_message, plain_data
from edgeflow.errors import DataError

__all__ = ["TriggerReading", "read_trigger"]

_MOST_TOLD = 3


@dataclass(frozen=True, kw_only=True)
class TriggerReading:
    """Parsed payload.

    Attributes:
        message: None where not even a part is named.
        problem: why it must not be acted upon, in words; ``message`` then only names the part.
        data: the message as plain data, whole; None where it is none.
        notes: one sentence for each key that was not used although it could be meant.
    """

    message: TriggerMessage | None
    problem: str = ""
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] | None = None


def read_trigger(payload: bytes) -> TriggerReading:
    """Read a payload of the ``trigger`` topic; never raises."""
    try:
        data = plain_data(TriggerMessage, payload)
        if not isinstance(data, Mapping):
            return TriggerReading(message=None, problem="trigger message: expected an object with trigger_id")
        tidy = tidy_trigger(data)
    except DataError as cause:
        return TriggerReading(message=None, problem=cause.message)
    try:
        message = parse_message(TriggerMessage, tidy.fields)
        return TriggerReading(message=message, notes=tidy.notes, data=data)
    except DataError as cause:
        problem = "; ".join([cause.message, *cause.problems[:_MOST_TOLD], *tidy.notes[:1]])
        return TriggerReading(message=_names(tidy.fields), problem=problem, notes=tidy.notes, data=data)


def _names(fields: Mapping[str, Any]) -> TriggerMessage | None:
    """Names and context; a part is named by its own id where the trigger's cannot be read."""
    found: dict[str, Any] = {}
    for key in ("trigger_id", "part_id"):
        try:
            parse_message(TriggerMessage, {"trigger_id": fields.get(key)})
        except DataError:
            continue
        found[key] = fields[key]
    if not found:
        return None
    return TriggerMessage(
        trigger_id=next(iter(found.values())), part_id=found.get("part_id"), context=fields.get("context")
    )
