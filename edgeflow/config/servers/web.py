"""Section of a box file about its page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from edgeflow.config.units import Address
from edgeflow.contracts.documents.document import Document

__all__ = ["WebConfig"]


class WebConfig(Document):
    """The box's page, which ``edgeflow web`` serves."""

    listen: Address = Field(
        default="127.0.0.1:8088",
        description="address and port of the page; any other address than this computer's own needs users, "
        "certificate and key",
    )
    language: Literal["en", "de"] = Field(
        default="en", description="of shift reports; the page follows its reader's browser"
    )
    users: Path | None = Field(
        default=None,
        description="file with the users of the page; 'edgeflow web --add-user' writes it; default: "
        "web-users.json beside the outbox",
    )
    certificate: Path | None = Field(
        default=None, description="file with the page's TLS certificate; goes with key"
    )
    key: Path | None = Field(default=None, description="file with the certificate's private key")
    names: tuple[str, ...] = Field(
        default=(), description="host names under which browsers reach the page, besides its address"
    )

    @model_validator(mode="after")
    def _certificate_with_key(self) -> WebConfig:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key go together")
        return self
