"""What the outbox's writer still has to write; bounded, with everything given up on record."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeflow.outbox_drops import Victim
from edgeflow.outbox_rows import Entry

__all__ = ["Backlog"]

_MAX_BYTES = 32_000_000


@dataclass(kw_only=True)
class Backlog:
    """Entries to store, ids to let go, losses to note, rows to set aside or restore, callers that wait."""

    entries: list[Entry] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    given_up: list[Victim] = field(default_factory=list)
    aside: list[tuple[Sequence[int], str]] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    marks: list[threading.Event] = field(default_factory=list)

    def clear(self) -> None:
        """All but the callers is written."""
        self.entries.clear()
        self.gone.clear()
        self.given_up.clear()
        self.aside.clear()
        self.restored.clear()

    @property
    def is_pressing(self) -> bool:
        """Whether there is more to write than deletions, which may wait for company."""
        return bool(self.entries or self.given_up or self.aside or self.restored)

    def shrink(self, why: str, limit: int = _MAX_BYTES) -> int:
        """Give up entries of least worth, oldest first, over ``limit`` bytes; returns how many."""
        over = sum(entry.size for entry in self.entries) - limit
        victims: set[str] = set()
        for entry in sorted(self.entries, key=lambda e: e.worth):
            if over <= 0:
                break
            victims.add(entry.result_id)
            over -= entry.size
            self.given_up.append(Victim(result_id=entry.result_id, why=why, root=entry.root))
        self.entries = [entry for entry in self.entries if entry.result_id not in victims]
        return len(victims)
