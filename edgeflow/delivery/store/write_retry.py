"""Retries of the outbox's writer after a full disk, an error or damage. Pure; clocks are arguments."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from edgeflow.delivery.store.database_file import is_damage
from edgeflow.delivery.store.records import Limits

__all__ = ["WriteRetry"]

_RETRY_S = 0.5
_REPAIR_RETRY_S = 5.0
_SHORTEST_WAIT_S = 0.01
_SQUEEZE_BYTES = 1_000_000  # dropped at once on a full disk: their deletion has to fit into the reserve


class WriteRetry:
    """Time and limits of the next attempt to write after a failure, and the damage to repair before it.

    Attributes:
        damage: the error that says that the file is broken; None while it is sound.
    """

    def __init__(self) -> None:
        self.damage: sqlite3.Error | None = None
        self._squeezed_bytes: int | None = None  # all that a full disk allows
        self._retry_at_s = 0.0

    @property
    def is_squeezed(self) -> bool:
        """True while a full disk allows less than the limits do."""
        return self._squeezed_bytes is not None

    def is_due(self, now_s: float) -> bool:
        """Return True where nothing has failed, or the pause after it is over."""
        return now_s >= self._retry_at_s

    def wait_s(self, now_s: float) -> float:
        """Return the seconds until the next attempt, at least 10 ms."""
        return max(_SHORTEST_WAIT_S, self._retry_at_s - now_s)

    def limits(self, configured: Limits) -> Limits:
        """Return the limits that hold now: on a full disk, no more bytes than it allows."""
        if self._squeezed_bytes is None:
            return configured
        return replace(configured, bytes=min(configured.bytes, self._squeezed_bytes), disk_full=True)

    def squeeze(self, stored_bytes: int) -> None:
        """Allow 1 MB less than is stored, or than was allowed before; the disk is full."""
        before = self._squeezed_bytes if self._squeezed_bytes is not None else stored_bytes
        if before > _SQUEEZE_BYTES:  # what is less has room where the reserve was
            self._squeezed_bytes = before - _SQUEEZE_BYTES

    def release(self) -> None:
        """Allow the configured limits again; the disk has room."""
        self._squeezed_bytes = None

    def failed(self, cause: Exception, now_s: float, *, failed_before: bool) -> None:
        """Record a failed attempt, and choose the pause before the next.

        Args:
            failed_before: False for the first failure since the file was last written; on a full disk it is
                tried again at once.
        """
        if is_damage(cause):
            self.damage = cause if isinstance(cause, sqlite3.Error) else None
        if self.damage is not None:
            self._retry_at_s = now_s + _REPAIR_RETRY_S
        else:
            self._retry_at_s = now_s + (0.0 if self.is_squeezed and not failed_before else _RETRY_S)
