"""Commands to a box, and its replies."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from edgeflow.contracts.documents.document import Text
from edgeflow.contracts.message_parts.base import AnyTime, Message, Timestamp

__all__ = ["Command", "Outcome", "Reply", "Verb"]

Verb = Literal["start", "stop", "reset", "snapshot", "reload", "rollback", "recalibrate", "label", "product"]
Outcome = Literal["done", "refused", "failed"]
Name = Annotated[
    str,
    Text(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$", words="up to 128 letters, digits, . _ : or -"),
]
Short = Annotated[str, Field(max_length=256)]


class Command(Message):
    """A command to a box, on ``cmd/{verb}``; never retained.

    All values are text, so that one canonical form can be signed in any language. A box refuses a command
    with a field that it does not know: a command is carried out whole or not at all.
    """

    unknown_fields: ClassVar[Literal["forbid", "ignore"]] = "forbid"

    schema_: Literal["edgeflow/command/1"] = Field(default="edgeflow/command/1", alias="schema")
    command_id: Name = Field(description="never used twice; a second one with the same id is not carried out")
    verb: Verb = Field(description="the same as in the topic")
    box: Short = Field(description="topic root of the box that is meant, such as edgeflow/v1/plant1/l3/s2")
    issuer: Name = Field(description="who commands")
    issued_at: AnyTime
    session: Name | None = Field(default=None, description="only for this run of the box, where given")
    arguments: dict[Name, Short] = Field(default_factory=dict, max_length=8)
    correlation: Short | None = Field(
        default=None, description="comes back in the reply, for MQTT 3.1.1; MQTT 5 has its own"
    )
    signature: Short | None = Field(
        default=None, description="hmac-sha256:… or ed25519:…, base64, over all other fields that are given"
    )


class Reply(Message):
    """Outcome of a command, on its response topic or ``rsp/{verb}``."""

    schema_: Literal["edgeflow/reply/1"] = Field(default="edgeflow/reply/1", alias="schema")
    session: str
    command_id: str | None = Field(description="absent where the command could not be read")
    verb: str
    outcome: Outcome
    text: str = Field(description="what was done, or why not, and what to do next")
    correlation: str | None = None
    at: Timestamp
