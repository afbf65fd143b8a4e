"""The outbox's database: one transaction for many results, and the rule by which results are dropped."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from edgeflow.delivery.store.aside import list_aside, restore_rows, set_rows_aside
from edgeflow.delivery.store.database_file import open_file, read_only
from edgeflow.delivery.store.drops import DroppedRow, close_records, note
from edgeflow.delivery.store.records import DROPPED, RECORD_PRIORITY, Aside, Drop, Entry, Limits, Row
from edgeflow.delivery.store.tally import Tally, count_all, rows_tally
from edgeflow.run_time import Boot, parse_run_time, read_boot, run_time_text

__all__ = ["OutboxDatabase"]

logger = logging.getLogger(__name__)

_CHUNK = 500  # SQLite allows 999 parameters in its oldest supported builds
_EXPIRE_AT_ONCE = 200  # per transaction: every put looks for them
_RECORDS_WAITING = 10  # records that the consumer has not confirmed; more are not sealed: the open ones grow
_RECORDS_SHARE = 10  # a tenth of the outbox, at most, names dropped results
_EXPIRE_S = 0.25  # between looks for results that are too old
_CLOCK_S = 60.0  # how much of the running time a crash may cost


class OutboxDatabase:
    """One SQLite file: one thread writes; any thread may read, and never waits for the disk.

    Args:
        boot: the present moment; ages are running time, never a difference of wall clocks.

    Raises:
        StorageError: written by a newer edgeflow. sqlite3's errors come as they are.
    """

    def __init__(self, path: Path, boot: Callable[[], Boot] = read_boot) -> None:
        self._reading = threading.Lock()
        self._boot = boot
        self._writer = open_file(path)
        try:
            self._reader = read_only(path)
            self.epoch = str(self._read("SELECT value FROM meta WHERE key = 'epoch'")[0][0])
            kept = self._read("SELECT value FROM meta WHERE key = 'run_time'")
            self._run_time = parse_run_time(kept[0][0] if kept else None, boot())
            self._clock_kept_s = self._expire_at_s = float("-inf")
            self._durability = ""
            self._version = self._data_version()
            self.tally = count_all(self._writer)
        except BaseException:
            self._writer.close()
            raise
        self._last_id = self.last_id()

    @property
    def count(self) -> int:
        """Number of rows that wait to be sent."""
        return self.tally.waiting

    @property
    def records(self) -> int:
        """Number of records of drops that the consumer has not confirmed."""
        return self.tally.records

    @property
    def bytes(self) -> int:
        """Bytes of all rows, as the limits count them."""
        return self.tally.bytes

    @property
    def run_s(self) -> float:
        """Seconds that the box has run, as far as this outbox has recorded."""
        return self._run_time.at(self._boot()).run_s

    @property
    def clock_is_due(self) -> bool:
        """True if the running time is due to be written, by a ``write`` of anything or nothing."""
        return self.run_s - self._clock_kept_s >= _CLOCK_S

    def write(
        self,
        entries: Sequence[Entry],
        gone: Sequence[str],
        dropped: Sequence[DroppedRow],
        limits: Limits,
        now_s: float,
        *,
        aside: Sequence[tuple[Sequence[int], str]] = (),
        restored: Sequence[int] = (),
    ) -> int:
        """Store entries and delete delivered ones in one transaction; it is on the disk when this returns.

        A deletion alone does not wait for the disk: a power cut may undo it, which costs one more copy.

        Args:
            gone: result ids that were delivered; unknown ones are ignored.
            dropped: results that will never be stored, for the record of drops.
            now_s: seconds since 1970, for display only.
            aside: rows that are kept but not sent from now on, and why.
            restored: rows that were set aside and are to be sent again.

        Returns:
            How many results were dropped by the limits.
        """
        self._set_durability(durable=bool(entries or dropped or aside or restored))
        with self._transaction():
            self._delete(gone)
            # Room first: on a full disk nothing could be inserted before.
            all_dropped = [*dropped, *self._expired(limits), *self._excess(limits, entries)]
            self._insert(entries, now_s)
            for row_ids, why in aside:
                count = set_rows_aside(self._writer, row_ids, why)
                self._add(waiting=-count, aside=count)
            if restored:
                count = restore_rows(self._writer, restored)
                self._add(waiting=count, aside=-count)
                self._last_id += count
            all_dropped += self._excess(limits)
            if all_dropped:
                room = limits.bytes // _RECORDS_SHARE - self.tally.ids_bytes - self.tally.record_bytes
                self._add(ids_bytes=note(self._writer, all_dropped, room))
                self.tally = replace(self.tally, open_drops=True)
            self._keep_clock()
        return len(all_dropped) - len(dropped)

    @property
    def has_records_to_close(self) -> bool:
        """True if drops are to be published, and every earlier record is confirmed."""
        return self.tally.open_drops and self.tally.records < _RECORDS_WAITING

    def close_drop_records(self, now_s: float) -> None:
        """Close the records of what was dropped so far; they are delivered like results."""
        self._set_durability(durable=True)
        with self._transaction():
            self._insert(close_records(self._writer, self.epoch), now_s)
            self.tally = replace(self.tally, open_drops=False, ids_bytes=0)

    def look(self) -> bool:
        """Return True if another process changed the file; its rows are counted again then."""
        if self._data_version() == self._version:
            return False
        with self._transaction():
            pass  # it counts anew as it begins
        return True

    def pending(self, after_id: int, limit: int) -> list[Row]:
        """Return stored results with an id over ``after_id`` that are to be sent, oldest first."""
        query = (
            "SELECT id, result_id, verdict, payload, root FROM results WHERE id > ? AND aside IS NULL"
            " ORDER BY id LIMIT ?"
        )
        return [
            Row(
                id=i,
                result_id=str(r),
                verdict=str(v),
                payload=p if isinstance(p, bytes) else b"",
                root=str(t),
            )
            for i, r, v, p, t in self._read(query, after_id, limit)
        ]

    def oldest_age_s(self) -> float | None:
        """Return the age of the oldest result that waits, in running time; None where none waits."""
        found = self._read("SELECT run_s FROM results WHERE aside IS NULL ORDER BY id LIMIT 1")
        return max(0.0, self.run_s - float(found[0][0] or 0.0)) if found else None

    def aside(self) -> list[Aside]:
        """Return the rows that are set aside, oldest first."""
        with self._reading:
            return list_aside(self._reader)

    def last_id(self) -> int:
        """Return the id of the newest result that was ever stored; 0 when there was none."""
        with self._reading:
            return _sequence(self._reader)

    def go_on_after(self, row_id: int) -> None:
        """Continue the row ids of an earlier database."""
        self._last_id = row_id
        with self._transaction():
            self._writer.execute("DELETE FROM sqlite_sequence WHERE name = 'results'")
            self._writer.execute("INSERT INTO sqlite_sequence VALUES ('results', ?)", (row_id,))

    def drops(self) -> tuple[Drop, ...]:
        """Return the records of dropped results, oldest first."""
        found = self._read("SELECT first, last, count, why, at FROM drops ORDER BY id")
        return tuple(Drop(first=f, last=la, count=c, why=w, at=a) for f, la, c, w, a in found)

    def take_over_drops(self, records: Sequence[tuple[object, ...]]) -> None:
        """Copy the open records of drops of another database, given as columns without their number."""
        with self._transaction():
            self._writer.executemany(
                "INSERT INTO drops (first, last, count, why, at, result_ids, open, root)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                records,
            )
            self.tally = count_all(self._writer)

    @property
    def last_known_id(self) -> int:
        """Newest id that this process has seen, for the case that the file cannot be read any more."""
        return self._last_id

    def copy_to(self, path: Path) -> None:
        """Write a whole copy into a new file."""
        self._writer.execute("VACUUM INTO ?", (str(path),))

    def make_room(self) -> None:
        """Move the write-ahead log into the database, which frees the log's space."""
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Close the database; safe to call twice."""
        with self._reading:
            self._reader.close()
        with contextlib.suppress(sqlite3.Error), self._transaction():
            self._keep_clock(at_once=True)
        with contextlib.suppress(sqlite3.Error):
            self._writer.close()

    def _set_durability(self, *, durable: bool) -> None:
        wanted = "FULL" if durable else "NORMAL"
        if wanted != self._durability:
            self._writer.execute(f"PRAGMA synchronous = {wanted}")
            self._durability = wanted

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    def _data_version(self) -> int:
        """Return SQLite's data version, which changes when another process writes."""
        return int(self._writer.execute("PRAGMA data_version").fetchone()[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Run a transaction: all or nothing, in the file and in the tally."""
        self._writer.execute("BEGIN IMMEDIATE")
        before = self.tally
        try:
            if (version := self._data_version()) != self._version:
                before = self.tally = count_all(self._writer)
                self._last_id = max(self._last_id, _sequence(self._writer))
                self._version = version
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            self.tally = before
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                self._writer.execute("ROLLBACK")
            raise

    def _add(self, **changes: int) -> None:
        self.tally = replace(
            self.tally, **{name: getattr(self.tally, name) + change for name, change in changes.items()}
        )

    def _keep_clock(self, *, at_once: bool = False) -> None:
        """Write the running time, once in a while."""
        now = self._run_time.at(self._boot())
        if at_once or now.run_s - self._clock_kept_s >= _CLOCK_S:
            self._writer.execute("INSERT OR REPLACE INTO meta VALUES ('run_time', ?)", (run_time_text(now),))
            self._run_time, self._clock_kept_s = now, now.run_s

    def _insert(self, entries: Sequence[Entry], now_s: float) -> None:
        run_s = self.run_s
        for e in entries:
            cursor = self._writer.execute(
                "INSERT INTO results (result_id, verdict, worth, payload, stored_s, run_s, root, aside)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (result_id) DO NOTHING",
                (e.result_id, e.verdict, e.priority, e.payload, now_s, run_s, e.root, e.aside or None),
            )
            self._last_id = max(self._last_id, cursor.lastrowid or 0)
            if cursor.rowcount:
                record = e.verdict == DROPPED
                self._add(
                    waiting=not e.aside,
                    aside=bool(e.aside),
                    bytes=e.size,
                    records=record,
                    record_bytes=record * len(e.payload),
                )

    def _delete(self, result_ids: Sequence[str]) -> None:
        for start in range(0, len(result_ids), _CHUNK):
            chunk = tuple(result_ids[start : start + _CHUNK])
            self._remove(f"WHERE result_id IN ({','.join('?' * len(chunk))})", chunk)

    def _remove(self, where: str, values: tuple[object, ...]) -> None:
        """Delete rows by a condition that is put together from constants."""
        rows = rows_tally(self._writer, where, values)
        if rows != Tally():
            self._writer.execute(f"DELETE FROM results {where}", values)  # noqa: S608
            self.tally = self.tally.without(rows)

    def _excess(self, limits: Limits, coming: Sequence[Entry] = ()) -> list[DroppedRow]:
        """Delete rows over the limits, none of them for ``coming`` entries of lower priority."""
        priority = min((entry.priority for entry in coming), default=RECORD_PRIORITY - 1)
        size = sum(entry.size for entry in coming)
        dropped: list[DroppedRow] = []
        while (over := self.tally.results + len(coming) - limits.rows) > 0 or (
            self.tally.bytes + size > limits.bytes
        ):
            found = self._writer.execute(
                "SELECT id, result_id, verdict, root FROM results WHERE worth <= ?"
                " ORDER BY worth, id LIMIT ?",
                (priority, min(_CHUNK, over) if over > 0 else 1),
            ).fetchall()
            if not found:
                break
            for row_id, result_id, verdict, root in found:
                self._remove("WHERE id = ?", (row_id,))
                why = f"{_much(limits, by_rows=over > 0)}; oldest {verdict} given up"
                dropped.append(DroppedRow(result_id=str(result_id), why=why, root=str(root)))
        return dropped

    def _expired(self, limits: Limits) -> list[DroppedRow]:
        """Delete rows that are older than the limit, unconfirmed records of drops included."""
        run_s = self.run_s
        if run_s < self._expire_at_s:
            return []
        found = self._writer.execute(
            "SELECT id, result_id, verdict, root FROM results WHERE run_s < ? ORDER BY run_s, id LIMIT ?",
            (run_s - limits.age_s, _EXPIRE_AT_ONCE),
        ).fetchall()
        if len(found) < _EXPIRE_AT_ONCE:
            self._expire_at_s = run_s + _EXPIRE_S
        why = f"older than {limits.age_s / 3600:g} h; given up"
        dropped = []
        for row_id, result_id, verdict, root in found:
            self._remove("WHERE id = ?", (row_id,))
            if verdict == DROPPED:
                logger.warning("outbox: nobody confirmed %s for %g h", result_id, limits.age_s / 3600)
            else:
                dropped.append(DroppedRow(result_id=str(result_id), why=why, root=str(root)))
        return dropped


def _sequence(connection: sqlite3.Connection) -> int:
    """Return the id of the newest result that was ever stored; 0 when there was none."""
    found = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'results'").fetchone()
    return int(found[0]) if found else 0


def _much(limits: Limits, *, by_rows: bool) -> str:
    if by_rows:
        return f"more than {limits.rows} results waited"
    if limits.disk_full:
        return "the disk was full"
    return f"more than {limits.bytes / 1e6:g} MB of results waited"
