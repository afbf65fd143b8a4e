"""A box file in the repository: its name there, its bounds, and what it may not change at a box; pure."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

from pydantic import Field, ValidationError

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.documents.document import Document
from edgeflow.errors import DataError

__all__ = [
    "MOST_BYTES",
    "BoxFilePublication",
    "differences",
    "parse_publication",
    "station_name",
    "target_of",
]

MOST_BYTES = 1_000_000
"""Largest box file."""


class BoxFilePublication(Document):
    """Description of a station's file, signed with it; whole numbers, since TUF signs no others.

    Attributes:
        id: another one for each publication, also of the same file.
        sha256: of the file.
        parts: first parts under the new file that are watched.
        undecided: so many of them may be UNDECIDED; more is the way back.
        wait_s: the box has to inspect again within so many seconds.
    """

    id: Annotated[str, Field(pattern=r"^box-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}$")]
    station: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    parts: int = Field(default=50, ge=1, le=100_000)
    undecided: int = Field(default=5, ge=0)
    wait_s: int = Field(default=300, ge=1, le=86_400)


def station_name(config: BoxConfig) -> str:
    """Return a station's name among all: SITE/LINE/STATION."""
    own = config.station
    return f"{own.site}/{own.line}/{own.station}"


def target_of(station: str) -> str:
    """Return the path of a station's file in the repository; names may hold what no URL can."""
    plain = re.sub(r"[^A-Za-z0-9_-]", "-", station)[:80]
    return f"boxes/{plain}-{hashlib.sha256(station.encode()).hexdigest()[:8]}.yaml"


def parse_publication(custom: Any) -> BoxFilePublication:
    """Read what the repository says of a file.

    Raises:
        DataError: it cannot be read.
    """
    known = set(BoxFilePublication.model_fields)
    try:
        return BoxFilePublication.model_validate({key: custom[key] for key in custom if key in known})
    except (ValidationError, TypeError) as cause:
        raise DataError(f"a box file in the repository cannot be read: {cause}; update edgeflow") from cause


def differences(old: BoxConfig, new: BoxConfig) -> list[str]:
    """Return every reason why a fleet's file may not take the place of the present one.

    A file that names another fleet, other keys or another place of the agent's state would cut the box off
    from those who could mend it.
    """
    if station_name(new) != station_name(old):
        return [f"is for station {station_name(new)}; this is {station_name(old)}"]
    held = {
        "fleet": (old.fleet, new.fleet),
        "trust": (old.trust, new.trust),
        "outbox.path": (old.outbox.path, new.outbox.path),
        "commands.socket": (old.control_socket, new.control_socket),
        "mqtt.root": (old.topic_root, new.topic_root),
        "mqtt.client_id": (old.device_name, new.device_name),
    }
    return [
        f"changes '{name}', which a file of the fleet cannot; change it at the box itself"
        for name, (before, after) in held.items()
        if before != after
    ]
