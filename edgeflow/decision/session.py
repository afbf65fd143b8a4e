"""Session: one run of a box, its id and the numbers of its parts."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["Session", "new_session"]


@dataclass(frozen=True, kw_only=True)
class Session:
    """One run of a box.

    Attributes:
        part_numbers: count on from 1 without gaps, over all bundles that inspect during the session.
    """

    id: str
    part_numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))


def new_session() -> Session:
    """Return a session with a random id."""
    return Session(id=uuid.uuid4().hex[:12])
