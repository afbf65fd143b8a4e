"""The outbox: results on the disk until they are delivered, through failures of network, power and disk."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.config.delivery import OutboxConfig
from edgeflow.contracts.messages import Result
from edgeflow.delivery.alarms import OutboxAlarms
from edgeflow.delivery.store.backlog import Item, PendingWrites, Restored, SetAside
from edgeflow.delivery.store.database import OutboxDatabase
from edgeflow.delivery.store.database_file import check_file, claim, is_damage, is_full, mapped
from edgeflow.delivery.store.opening import open_store
from edgeflow.delivery.store.records import Aside, Drop, Limits, Row, entry_of, fault_of
from edgeflow.delivery.store.repair import Repaired, complete, copy_removed, repair
from edgeflow.delivery.store.reserve_file import ReserveFile
from edgeflow.delivery.store.tally import Tally
from edgeflow.delivery.store.write_retry import WriteRetry
from edgeflow.delivery.store.writing import ITEM_FAULTS, unstorable, write_singly, write_together
from edgeflow.errors import StorageError
from edgeflow.thread_activity import working

__all__ = ["Outbox", "open_outbox"]

logger = logging.getLogger(__name__)

_TICK_S = 0.25
_SILENT_S = 15.0  # without a sign of life the writer hangs
_CHECK_S = 600.0
_AT_ONCE = 1000  # puts, deliveries and marks in one transaction
_CLOSE_S = 10.0


class Outbox:
    """A queue in SQLite that survives crashes, power cuts, full disks and damage.

    A thread of its own writes: whatever came meanwhile goes into one transaction, so that the line never
    waits for the disk and the disk is asked no more often than it can answer. Any thread may call any method.

    What cannot be written now stays in memory and is tried again. On a full disk the reserve file is removed,
    and older results of lower priority are dropped for new ones. A damaged file is kept under another name,
    also while running; everything that can still be read goes into a new one.

    A row that can never be delivered (it is unreadable, or the sender says so) is set aside: kept and
    counted, but not sent until it is restored. One bad row never holds up the others.

    Args:
        path: database file; its folder is made if needed.
        root: topics of the station whose results are put.

    Raises:
        StorageError: the file cannot be written, is used by another process, or belongs to a newer edgeflow.
    """

    def __init__(self, path: Path, limits: Limits, alarms: Alarms | None = None, *, root: str = "") -> None:
        self._path = path
        self._limits = limits
        self._root = root
        self._alarms = OutboxAlarms(path, alarms)
        self._backlog = PendingWrites()
        self._inbox: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._gone: deque[str] = deque()  # delivered; they wait for the next result, or a moment
        self._counting = threading.Lock()  # for one number; never held over anything else
        self._unstored: int = 0
        self._dropped: int = 0
        self._listeners: list[Callable[[Sequence[str]], None]] = []
        self._retry = WriteRetry()
        self._repaired: Repaired | None = None
        self._quarantined: set[int] = set()
        self._closing_records = False
        self._closing = False
        self._look_at_s = 0.0
        self._check_at_s = time.monotonic() + _CHECK_S
        self._reserve = ReserveFile(path)
        with mapped(path, "opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = claim(path)
            try:
                self._store = open_store(path, self._reserve, self._alarms)
            except BaseException:
                os.close(self._lock)
                raise
        self._reserve.take()
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    @property
    def epoch(self) -> str:
        """UUID of this database; with a row's id it names the row among all boxes and all times."""
        return self._store.epoch

    def on_stored(self, listener: Callable[[Sequence[str]], None]) -> None:
        """Call ``listener`` with result ids once they are on the disk, on the writer thread."""
        self._listeners.append(listener)

    def put(self, result: Result) -> None:
        """Queue a result to be stored; never blocks. A result id is stored once."""
        try:
            item: Item = entry_of(result, self._root)
        except ValueError as cause:  # text that UTF-8 does not have: one result, not the line
            logger.exception("outbox: a result could not be written as JSON")
            item = unstorable(result.result_id, cause, self._root)
        else:
            with self._counting:
                self._unstored += 1
        self._inbox.put(item)

    def delete(self, result_ids: Iterable[str]) -> None:
        """Queue the deletion of delivered results, unknown ones ignored, for the next write. Never blocks."""
        self._gone.extend(result_ids)

    def set_aside(self, row_ids: Iterable[int], why: str) -> None:
        """Keep rows that can never be delivered, and do not send them. Never blocks.

        Args:
            why: what is wrong with them and what to do, for whoever lists them.
        """
        self._inbox.put(SetAside(row_ids=tuple(row_ids), why=why))

    def aside(self) -> list[Aside]:
        """Return the rows that are set aside, oldest first.

        Raises:
            StorageError: the file cannot be read.
        """
        with mapped(self._path, "read"):
            return self._store.aside()

    def restore(self, row_ids: Iterable[int]) -> None:
        """Restore rows that were set aside; each gets a new id, unknown ones are ignored."""
        self._inbox.put(Restored(row_ids=tuple(row_ids)))

    def flush(self, timeout_s: float = _CLOSE_S) -> bool:
        """Return True once all earlier requests are on the disk; False after ``timeout_s``."""
        mark = threading.Event()
        self._inbox.put(mark)
        return mark.wait(timeout_s)

    def pending(self, after_id: int, limit: int) -> list[Row]:
        """Return stored results with an id over ``after_id`` that can be sent, oldest first.

        Rows that cannot be read are set aside on the way.

        Raises:
            StorageError: the file cannot be read.
        """
        rows: list[Row] = []
        while (wanted := limit - len(rows)) > 0:
            found = self._read_rows(after_id, wanted)
            rows += [row for row in found if not self._is_faulty(row)]
            if len(found) < wanted:
                break
            after_id = found[-1].id
        return rows

    def _read_rows(self, after_id: int, limit: int) -> list[Row]:
        with mapped(self._path, "read"):
            try:
                return self._store.pending(after_id, limit)
            except sqlite3.Error as cause:
                if is_damage(cause):
                    self._retry.damage = cause
                    self._inbox.put(None)
                raise

    def _is_faulty(self, row: Row) -> bool:
        fault = fault_of(row)
        if fault and row.id not in self._quarantined:
            self._quarantined.add(row.id)
            self.set_aside([row.id], fault)
        return bool(fault)

    def read(self, row_id: int) -> Row | None:
        """Return one stored result, or None when it has been delivered, dropped or set aside."""
        rows = [row for row in self._read_rows(row_id - 1, 1) if not self._is_faulty(row)]
        return rows[0] if rows and rows[0].id == row_id else None

    def has_after(self, row_id: int) -> bool:
        """Return False where nothing was stored after this row, as far as is known; asks no disk."""
        return self._store.last_known_id > row_id

    def last_id(self) -> int:
        """Return the id of the newest result that was ever stored here; 0 when there was none."""
        with mapped(self._path, "read"):
            return self._store.last_id()

    def count(self) -> int:
        """Return the number of results that wait, stored or queued to be stored."""
        return self._unstored + self._store.count

    def undelivered(self) -> int:
        """Return how many messages are to be delivered, with one for drops that have no record yet."""
        return self.count() + self._store.tally.open_drops

    @property
    def dropped(self) -> int:
        """Number of results that this object has given up before they were delivered."""
        return self._dropped

    @property
    def tally(self) -> Tally:
        """Counts of the stored rows and their bytes."""
        return self._store.tally

    def oldest_age_s(self) -> float | None:
        """Return the running time since the oldest waiting result was stored; None where none waits.

        Raises:
            StorageError: the file cannot be read.
        """
        with mapped(self._path, "read"):
            return self._store.oldest_age_s()

    def drops(self) -> tuple[Drop, ...]:
        """Return the records of results that were dropped for lack of space, oldest first."""
        with mapped(self._path, "read"):
            return self._store.drops()

    def close_drop_records(self) -> None:
        """Queue the record of dropped results for publication, once every earlier record is confirmed.

        Never blocks.
        """
        if self._store.has_records_to_close and not self._closing_records:
            self._closing_records = True
            self._inbox.put(None)

    def close(self) -> None:
        """Write everything that is queued, then close the database; safe to call twice."""
        self._closing = True
        self._inbox.put(None)
        self._thread.join(_CLOSE_S)
        self._store.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _run(self) -> None:
        while True:
            working(_SILENT_S)
            try:
                self._take_in()
                self._work()
            except Exception as cause:  # whatever it is, the next result is written by this thread, too
                if not isinstance(cause, (sqlite3.Error, OSError, StorageError)):
                    logger.exception("outbox %s: the writer goes on after an error", self._path)
                with contextlib.suppress(sqlite3.Error, OSError):
                    self._failed(cause)
                if self._closing:
                    break
            if self._closing and self._inbox.empty() and not self._gone:
                break
        if self._backlog.entries:
            logger.error("outbox %s: %d results were never stored", self._path, len(self._backlog.entries))

    def _take_in(self) -> None:
        """Take the queued requests; wait for the first for a moment."""
        wait_s = self._retry.wait_s(time.monotonic()) if self._alarms.in_trouble else _TICK_S
        with contextlib.suppress(queue.Empty):
            self._backlog.add(self._inbox.get(timeout=0.01 if self._closing else wait_s))
            for _ in range(_AT_ONCE - 1):
                self._backlog.add(self._inbox.get_nowait())
        self._backlog.gone += [self._gone.popleft() for _ in range(len(self._gone))]

    def _work(self) -> None:
        now_s = time.monotonic()
        if self._retry.is_due(now_s) or self._closing:
            if self._retry.damage is not None:
                self._begin_anew(self._retry.damage)
            self._write()
        self._look_after(now_s)

    def _write(self) -> None:
        log = self._backlog
        if log or self._store.clock_is_due:
            dropped = self._store_backlog()
            self._dropped += dropped
            stored = [entry.result_id for entry in log.entries]
            concerns_sender = bool(stored or log.restored) or not self._store.count
            with self._counting:
                self._unstored -= len(stored)
            log.clear()
            if dropped or self._store.tally.open_drops:
                self._alarms.drops(unpublished=True)
            self._recovered()
            if concerns_sender:
                self._notify(stored)
        if self._closing_records:
            self._closing_records = False
            self._store.close_drop_records(time.time())
            self._notify([])
        for mark in log.marks:
            mark.set()
        log.marks.clear()

    def _store_backlog(self) -> int:
        """Write everything that is pending; return how many results were dropped for it."""
        log = self._backlog
        waiting = len(log.entries)
        try:
            return write_together(self._store, log, self._retry.limits(self._limits))
        except ITEM_FAULTS:
            return write_singly(self._store, log, self._retry.limits(self._limits))
        finally:
            with self._counting:
                self._unstored -= waiting - len(log.entries)

    def _notify(self, stored: Sequence[str]) -> None:
        for listener in self._listeners:
            try:
                listener(stored)
            except Exception:  # what is on the disk is; whoever listens may be wrong
                logger.exception("outbox %s: a listener failed", self._path)

    def _failed(self, cause: Exception) -> None:
        """Keep in memory what could not be written, find room, and try again."""
        if is_full(cause):
            self._reserve.drop()
            self._retry.squeeze(self._store.bytes)
            with contextlib.suppress(sqlite3.Error):
                self._store.make_room()
        self._retry.failed(cause, time.monotonic(), failed_before=self._alarms.in_trouble)
        lost = self._backlog.shrink("the outbox could not be written, and memory is bounded")
        self._dropped += lost
        with self._counting:
            self._unstored -= lost
        self._alarms.failed(cause)

    def _recovered(self) -> None:
        if not self._retry.is_squeezed:
            self._alarms.written_again()

    def _look_after(self, now_s: float) -> None:
        """Refill the reserve file, notice other processes, update the alarms, check the file regularly."""
        if now_s < self._look_at_s:
            return
        self._look_at_s = now_s + _TICK_S
        if self._reserve.take() and self._retry.is_squeezed:
            self._retry.release()
            self._recovered()
        if self._retry.damage is None:
            if not self._path.exists():
                self._write_anew()
            if self._store.look():
                self._notify([])
        self._alarms.drops(unpublished=bool(self._store.records or self._store.tally.open_drops))
        self._alarms.aside(self._store.tally.aside, self._store.aside)
        if now_s >= self._check_at_s:
            self._check_at_s = now_s + _CHECK_S
            threading.Thread(target=self._check, name="outbox-check", daemon=True).start()

    def _check(self) -> None:
        try:
            check_file(self._path)
        except sqlite3.Error as cause:
            if is_damage(cause):
                self._retry.damage = cause
                self._inbox.put(None)

    def _begin_anew(self, cause: sqlite3.Error) -> None:
        """Repair the damaged file while running; each step that fails is repeated later."""
        last_id = self._store.last_known_id
        if self._repaired is None:
            self._store.close()
            self._repaired = repair(self._path, cause, last_id)
        self._store = OutboxDatabase(self._path)
        self._alarms.repaired(cause, self._repaired)
        self._retry.damage = self._repaired = None
        self._quarantined.clear()
        self._notify([])

    def _write_anew(self) -> None:
        """Write the file again that somebody removed: its content can be read as long as it is open."""
        copy_removed(self._store, self._path)
        self._store.close()
        complete(self._path)
        self._store = OutboxDatabase(self._path)
        self._alarms.removed()


def open_outbox(config: OutboxConfig, alarms: Alarms | None = None, *, root: str = "") -> Outbox:
    """Open the outbox that a box file describes; ``root`` as of :class:`Outbox`.

    Raises:
        StorageError: see :class:`Outbox`.
    """
    limits = Limits(rows=config.max_rows, bytes=int(config.max_mb * 1e6), age_s=config.max_age_h * 3600)
    return Outbox(config.path, limits, alarms, root=root)
