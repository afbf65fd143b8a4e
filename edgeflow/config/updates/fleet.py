"""Section ``fleet``: the repository from which a box takes its bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from edgeflow.config.products.section import ProductName
from edgeflow.contracts.documents.document import Document, Text

__all__ = ["FleetConfig", "GroupName"]

GroupName = Annotated[
    str,
    Text(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
        words="up to 64 letters, digits, . _ or -, such as line3",
    ),
]
Url = Annotated[
    str, Text(pattern=r"^https?://[^\s@?#]+$", words="a URL such as https://updates.plant.example")
]


class FleetConfig(Document):
    """Bundles from a TUF repository, taken by ``edgeflow fleet follow``, a process beside the box."""

    repository: Url | Path = Field(
        description="URL of the repository on a web server, or its folder, as on a USB stick"
    )
    root: Path = Field(
        description="root.json of the repository, brought to the box with its installation: what it trusts"
    )
    group: GroupName = Field(description="group of boxes that this one belongs to")
    username: str | None = Field(
        default=None,
        min_length=1,
        description="the agent's own user at the broker, for brokers that let in each user once; default: "
        "the box's",
    )
    password_file: Path | None = Field(
        default=None, description="file that holds that user's password alone; goes with username"
    )
    product: ProductName | None = Field(
        default=None, description="product whose bundle the fleet brings, on a box with several"
    )
    ca: Path | None = Field(
        default=None, description="certificates that the web server's is verified by; default: the system's"
    )
    every_s: float = Field(default=300, ge=1, le=86_400, description="seconds between two looks")
    max_mb: float = Field(default=2000, gt=0, description="largest bundle that is downloaded, in megabytes")
    rate_kb_s: float | None = Field(
        default=None, gt=0, description="kilobytes a second that a download takes at most; default: no limit"
    )

    @model_validator(mode="after")
    def _user_and_password(self) -> FleetConfig:
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file goes with username")
        return self
