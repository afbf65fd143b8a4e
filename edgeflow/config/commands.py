"""Section of a box file about commands: who may send which, and where they are recorded."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, model_validator

from edgeflow.contracts.commands import Verb
from edgeflow.contracts.documents.document import Document

__all__ = ["CommandsConfig", "IssuerConfig"]


class IssuerConfig(Document):
    """One that may command over MQTT: it seals with a shared secret (HMAC) or with its private key."""

    secret_file: Path | None = Field(
        default=None, description="file with the shared secret (HMAC), at least 16 bytes; or give key"
    )
    key: Path | None = Field(
        default=None,
        description="file with the issuer's public key (Ed25519), NAME.pub.pem; or give secret_file",
    )
    allow: tuple[Verb, ...] | None = Field(
        default=None, description="verbs that this issuer may use; default: commands.allow"
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> IssuerConfig:
        if (self.secret_file is None) == (self.key is None):
            raise ValueError("either secret_file or key")
        return self


class CommandsConfig(Document):
    """Commands over MQTT; on the box itself, ``edgeflow ctl`` may everything that its user may."""

    allow: tuple[Verb, ...] = Field(
        default=(), description="verbs that are carried out when they arrive over MQTT; default: none"
    )
    issuers: dict[str, IssuerConfig] | None = Field(
        default=None,
        min_length=1,
        description="those whose signed commands are accepted, by name; without it, the broker's access "
        "rules alone decide",
    )
    max_age_s: float = Field(
        default=30.0, gt=0, le=3600, description="seconds after which a command is too old and is refused"
    )
    audit: Path | None = Field(
        default=None,
        description="file with the record of all commands; default: audit.jsonl beside the outbox",
    )
    audit_max_mb: float = Field(
        default=10.0,
        gt=0,
        le=1000,
        description="size in megabytes at which a new record file is begun; the one before is kept",
    )
    socket: Path | None = Field(
        default=None,
        description="socket on which the box listens for 'edgeflow ctl'; default: beside the outbox",
    )
