"""An outbox whose own thread is at work, as a test changes its file."""

from __future__ import annotations

import sqlite3

from edgeflow.delivery.outbox import Outbox

__all__ = ["made_room"]


def made_room(outbox: Outbox) -> bool:
    """Return False while the outbox's own thread uses the database."""
    try:
        outbox._store.make_room()
    except sqlite3.OperationalError:
        return False
    return True
