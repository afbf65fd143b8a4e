"""Pending writes of the outbox, bounded in memory; every dropped result is recorded."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from edgeflow.delivery.store.drops import DroppedRow
from edgeflow.delivery.store.records import Entry

__all__ = ["Item", "PendingWrites", "Restored", "SetAside"]

_MAX_BYTES = 32_000_000


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """Rows that are not to be sent any more."""

    row_ids: tuple[int, ...]
    why: str


@dataclass(frozen=True, kw_only=True)
class Restored:
    """Rows that are to be sent again."""

    row_ids: tuple[int, ...]


Item = Entry | DroppedRow | SetAside | Restored | threading.Event | None
"""A request to the writer: None only wakes it, an event is set once everything before it is written."""


@dataclass(kw_only=True)
class PendingWrites:
    """Entries to store, ids to delete, drops to record, rows to set aside or restore, callers that wait."""

    entries: list[Entry] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    dropped: list[DroppedRow] = field(default_factory=list)
    aside: list[tuple[Sequence[int], str]] = field(default_factory=list)
    restored: list[int] = field(default_factory=list)
    marks: list[threading.Event] = field(default_factory=list)

    def add(self, item: Item) -> None:
        """Add one request."""
        if isinstance(item, Entry):
            self.entries.append(item)
        elif isinstance(item, DroppedRow):
            self.dropped.append(item)
        elif isinstance(item, SetAside):
            self.aside.append((item.row_ids, item.why))
        elif isinstance(item, Restored):
            self.restored += item.row_ids
        elif item is not None:
            self.marks.append(item)

    def clear(self) -> None:
        """Remove everything but the callers that wait; it is written."""
        self.entries.clear()
        self.gone.clear()
        self.dropped.clear()
        self.aside.clear()
        self.restored.clear()

    def __bool__(self) -> bool:
        """Return True if there is something to write."""
        return bool(self.entries or self.gone or self.dropped or self.aside or self.restored)

    def pieces(self) -> list[PendingWrites]:
        """Return each request on its own, records of drops left out."""
        return [
            *(PendingWrites(entries=[entry]) for entry in self.entries),
            *(PendingWrites(gone=[result_id]) for result_id in self.gone),
            *(PendingWrites(aside=[each]) for each in self.aside),
            *(PendingWrites(restored=[row_id]) for row_id in self.restored),
        ]

    def remove(self, piece: PendingWrites) -> None:
        """Remove the requests of one piece."""
        self.entries = [each for each in self.entries if each not in piece.entries]
        self.gone = [each for each in self.gone if each not in piece.gone]
        self.aside = [each for each in self.aside if each not in piece.aside]
        self.restored = [each for each in self.restored if each not in piece.restored]

    def shrink(self, why: str, limit: int = _MAX_BYTES) -> int:
        """Drop entries of the lowest priority, oldest first, over ``limit`` bytes; return how many."""
        over = sum(entry.size for entry in self.entries) - limit
        ids: set[str] = set()
        for entry in sorted(self.entries, key=lambda e: e.priority):
            if over <= 0:
                break
            ids.add(entry.result_id)
            over -= entry.size
            self.dropped.append(DroppedRow(result_id=entry.result_id, why=why, root=entry.root))
        self.entries = [entry for entry in self.entries if entry.result_id not in ids]
        return len(ids)
