"""Opening of the outbox's database at the start of a box: damaged, half repaired, or on a full disk."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path

from edgeflow.delivery.alarms import OutboxAlarms
from edgeflow.delivery.store.database import OutboxDatabase
from edgeflow.delivery.store.database_file import is_damage
from edgeflow.delivery.store.repair import complete, repair
from edgeflow.delivery.store.reserve_file import ReserveFile

__all__ = ["open_store"]

logger = logging.getLogger(__name__)


def open_store(path: Path, reserve: ReserveFile, alarms: OutboxAlarms) -> OutboxDatabase:
    """Open the database; repair it where it is damaged, and release the reserve where the disk is full.

    Raises:
        StorageError: written by a newer edgeflow. sqlite3's and the system's errors come as they are.
    """
    try:
        return _repaired(path, alarms)
    except (sqlite3.OperationalError, OSError) as cause:
        if not reserve.drop():
            raise
        logger.warning("outbox %s: %s; the ballast's room is used", path, cause)
        return _repaired(path, alarms)


def _repaired(path: Path, alarms: OutboxAlarms) -> OutboxDatabase:
    complete(path)
    try:
        return OutboxDatabase(path)
    except sqlite3.Error as cause:
        if not is_damage(cause):
            raise
        alarms.repaired(cause, repair(path, cause))
        return OutboxDatabase(path)
