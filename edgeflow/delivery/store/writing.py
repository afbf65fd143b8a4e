"""Pending writes into the database: together, or one by one where one of them cannot be stored."""

from __future__ import annotations

import logging
import sqlite3
import time

from edgeflow.delivery.store.backlog import PendingWrites
from edgeflow.delivery.store.database import OutboxDatabase
from edgeflow.delivery.store.drops import DroppedRow
from edgeflow.delivery.store.records import Limits

__all__ = ["ITEM_FAULTS", "unstorable", "write_singly", "write_together"]

logger = logging.getLogger(__name__)

# A value that cannot be stored, as opposed to a disk that cannot be written.
ITEM_FAULTS = (
    ValueError,
    TypeError,
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
)


def write_together(store: OutboxDatabase, log: PendingWrites, limits: Limits) -> int:
    """Write everything in one transaction; return how many results were dropped for it."""
    return store.write(
        log.entries,
        log.gone,
        log.dropped,
        limits,
        time.time(),
        aside=log.aside,
        restored=log.restored,
    )


def write_singly(store: OutboxDatabase, log: PendingWrites, limits: Limits) -> int:
    """Write one after the other, so that only what cannot be stored is dropped.

    Returns:
        How many results were dropped for the others. What cannot be stored has left ``log``.
    """
    dropped = 0
    for piece in log.pieces():
        try:
            dropped += write_together(store, piece, limits)
        except ITEM_FAULTS as cause:
            logger.exception("outbox: an item cannot be stored")
            log.remove(piece)
            log.dropped += [unstorable(entry.result_id, cause, entry.root) for entry in piece.entries]
    return dropped + write_together(store, log, limits)


def unstorable(result_id: str, cause: Exception, root: str) -> DroppedRow:
    """Return the record of a result that cannot be stored."""
    readable = result_id.encode("utf-8", "replace").decode()
    return DroppedRow(result_id=readable, why=f"could not be stored ({type(cause).__name__})", root=root)
