"""The outbox's database: one transaction for many results, and the rule by which results are given up."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeflow.clock import utc_text
from edgeflow.contracts.messages import Dropped, to_json
from edgeflow.outbox_file import open_file, read_only
from edgeflow.outbox_rows import DROPPED, RECORD_WORTH, ROW_OVERHEAD, Drop, Entry, Limits, Row, record_entry

__all__ = ["Store", "Victim"]

_CHUNK = 500  # SQLite allows 999 parameters in its oldest supported builds
_IDS_PER_RECORD = 500
_EXPIRE_AT_ONCE = 20  # per transaction: every put looks for them
_RECORDS_WITH_IDS = 1000  # more unheard records than this only count: what was dropped must not fill the disk
_RECORDS_KEPT = 200
_PLAUSIBLE_S = 1.7e9  # a box without a clock stores in 1970; such a stamp says nothing about age


@dataclass(frozen=True, kw_only=True)
class Victim:
    """A result that is given up."""

    result_id: str
    why: str


class Store:
    """One SQLite file. Writing is one thread's matter; reading is any thread's, and never waits for the disk.

    Raises:
        StorageError: written by a newer edgeflow. sqlite3's errors come as they are.
    """

    def __init__(self, path: Path) -> None:
        self._reading = threading.Lock()
        self._writer = open_file(path)
        try:
            self._reader = read_only(path)
            self.epoch = str(self._read("SELECT value FROM meta WHERE key = 'epoch'")[0][0])
            size = f"COUNT(*), COALESCE(SUM(LENGTH(payload) + {ROW_OVERHEAD}), 0)"
            # Put together from constants only, here and below; every value is bound.
            count, total = self._read(f"SELECT {size} FROM results")[0]  # noqa: S608
        except BaseException:
            self._writer.close()
            raise
        self._last_id = self.last_id()
        self.count: int = int(count)
        self.bytes: int = int(total)
        self.open_drops = bool(self._read("SELECT 1 FROM drops WHERE open LIMIT 1"))
        self.records = int(self._read("SELECT COUNT(*) FROM results WHERE verdict = ?", DROPPED)[0][0])

    def write(
        self,
        entries: Sequence[Entry],
        gone: Sequence[str],
        given_up: Sequence[Victim],
        limits: Limits,
        now_s: float,
    ) -> int:
        """Store entries and let delivered ones go, in one transaction; on the disk when this returns.

        A deletion alone does not wait for the disk: a power cut may undo it, which costs one more copy.

        Args:
            gone: result ids that were delivered; unknown ones are ignored.
            given_up: results that will never be stored, for the record of drops.
            now_s: seconds since 1970.

        Returns:
            How many results were given up by the limits.
        """
        durable = "FULL" if entries or given_up else "NORMAL"
        self._writer.execute(f"PRAGMA synchronous = {durable}")
        before = (self.count, self.bytes, self.open_drops, self.records)
        try:
            with self._transaction():
                self._delete(gone)
                # Room first: on a full disk nothing could be inserted before.
                victims = [*given_up, *self._expired(limits, now_s), *self._excess(limits, entries)]
                self._insert(entries, now_s)
                victims += self._excess(limits)
                self._note(victims)
        except BaseException:
            self.count, self.bytes, self.open_drops, self.records = before
            raise
        return len(victims) - len(given_up)

    def seal_drops(self, now_s: float) -> None:
        """Make what was given up so far a record for the consumer, delivered like a result."""
        self._writer.execute("PRAGMA synchronous = FULL")
        with self._transaction():
            query = "SELECT id, first, last, count, why, at, result_ids FROM drops WHERE open ORDER BY id"
            found = self._writer.execute(query).fetchall()
            for number, first, last, count, why, at, ids in found:
                record_id = f"dropped-{self.epoch[:8]}-{number:06d}"
                message = Dropped(
                    record_id=record_id,
                    first=first,
                    last=last,
                    count=count,
                    why=why,
                    result_ids=tuple(json.loads(ids)),
                    at=at,
                )
                self._insert([record_entry(record_id, to_json(message))], now_s)
            self._writer.execute("UPDATE drops SET open = 0, result_ids = '[]' WHERE open")
            newest = "SELECT MAX(id) FROM drops"
            self._writer.execute(f"DELETE FROM drops WHERE id <= ({newest}) - ?", (_RECORDS_KEPT,))  # noqa: S608
        self.open_drops = False

    def pending(self, after_id: int, limit: int) -> list[Row]:
        """Stored results with an id over ``after_id``, oldest first."""
        query = "SELECT id, result_id, verdict, payload FROM results WHERE id > ? ORDER BY id LIMIT ?"
        rows = self._read(query, after_id, limit)
        return [Row(id=i, result_id=r, verdict=v, payload=bytes(p)) for i, r, v, p in rows]

    def last_id(self) -> int:
        """Id of the newest result ever stored in this database; 0 when there was none."""
        found = self._read("SELECT seq FROM sqlite_sequence WHERE name = 'results'")
        return int(found[0][0]) if found else 0

    def go_on_after(self, row_id: int) -> None:
        """Let a new database number on from an earlier one's last id."""
        self._last_id = row_id
        with self._transaction():
            self._writer.execute("DELETE FROM sqlite_sequence WHERE name = 'results'")
            self._writer.execute("INSERT INTO sqlite_sequence VALUES ('results', ?)", (row_id,))

    def drops(self) -> tuple[Drop, ...]:
        """What was given up, oldest record first."""
        found = self._read("SELECT first, last, count, why, at FROM drops ORDER BY id")
        return tuple(Drop(first=f, last=la, count=c, why=w, at=a) for f, la, c, w, a in found)

    @property
    def last_known_id(self) -> int:
        """The same as far as this process has seen, for when the file cannot be read any more."""
        return self._last_id

    def make_room(self) -> None:
        """Move what is in the log into the database, so that the log's room is free."""
        self._writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    @property
    def reader(self) -> sqlite3.Connection:
        """For salvage."""
        return self._reader

    def close(self) -> None:
        """Close the database; safe to call twice."""
        with self._reading:
            self._reader.close()
        with contextlib.suppress(sqlite3.Error):
            self._writer.close()

    def _read(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self._reading:
            return self._reader.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._writer.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._writer.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):  # a full disk has rolled back already
                self._writer.execute("ROLLBACK")
            raise

    def _insert(self, entries: Sequence[Entry], now_s: float) -> None:
        for e in entries:
            cursor = self._writer.execute(
                "INSERT INTO results (result_id, verdict, worth, payload, stored_s) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (result_id) DO NOTHING",
                (e.result_id, e.verdict, e.worth, e.payload, now_s),
            )
            added = cursor.rowcount
            self._last_id = max(self._last_id, cursor.lastrowid or 0)
            self.count += added
            self.bytes += added * e.size
            self.records += added * (e.verdict == DROPPED)

    def _delete(self, result_ids: Sequence[str]) -> None:
        size = f"COUNT(*), COALESCE(SUM(LENGTH(payload) + {ROW_OVERHEAD}), 0), COALESCE(SUM(verdict = ?), 0)"
        for start in range(0, len(result_ids), _CHUNK):
            chunk = result_ids[start : start + _CHUNK]
            where = f"WHERE result_id IN ({','.join('?' * len(chunk))})"
            query = f"SELECT {size} FROM results {where}"  # noqa: S608
            count, total, records = self._writer.execute(query, (DROPPED, *chunk)).fetchone()
            if count:
                self._writer.execute(f"DELETE FROM results {where}", chunk)  # noqa: S608
                self.count -= count
                self.bytes -= total
                self.records -= records

    def _excess(self, limits: Limits, coming: Sequence[Entry] = ()) -> list[Victim]:
        """Delete what the limits do not allow; nothing is deleted for what is ``coming`` and worth less."""
        worth = min((entry.worth for entry in coming), default=RECORD_WORTH - 1)
        size = sum(entry.size for entry in coming)
        victims: list[Victim] = []
        while (over := self.count - self.records + len(coming) - limits.rows) > 0 or (
            self.bytes + size > limits.bytes
        ):
            found = self._writer.execute(
                "SELECT id, result_id, verdict, LENGTH(payload) FROM results WHERE worth <= ?"
                " ORDER BY worth, id LIMIT ?",
                (worth, min(_CHUNK, over) if over > 0 else 1),
            ).fetchall()
            if not found:
                break
            much = f"{limits.rows} results" if over > 0 else f"{limits.bytes / 1e6:g} MB of results"
            for row_id, result_id, verdict, length in found:
                self._remove(row_id, length)
                why = f"more than {much} waited; oldest {verdict} given up"
                victims.append(Victim(result_id=result_id, why=why))
        return victims

    def _expired(self, limits: Limits, now_s: float) -> list[Victim]:
        oldest_s = now_s - limits.age_s
        found = self._writer.execute(
            "SELECT id, result_id, stored_s, LENGTH(payload) FROM results WHERE verdict != ?"
            " ORDER BY id LIMIT ?",
            (DROPPED, _EXPIRE_AT_ONCE),
        ).fetchall()
        victims = []
        for row_id, result_id, stored_s, size in found:
            if not _PLAUSIBLE_S < stored_s < oldest_s:
                break
            self._remove(row_id, size)
            why = f"older than {limits.age_s / 3600:g} h; given up"
            victims.append(Victim(result_id=result_id, why=why))
        return victims

    def _remove(self, row_id: int, size: int) -> None:
        self._writer.execute("DELETE FROM results WHERE id = ?", (row_id,))
        self.count -= 1
        self.bytes -= size + ROW_OVERHEAD

    def _note(self, victims: Sequence[Victim]) -> None:
        """Open records, one after the other per reason, with every id until there are too many records."""
        by_reason: dict[str, list[str]] = {}
        for victim in victims:
            by_reason.setdefault(victim.why, []).append(victim.result_id)
        for why, result_ids in by_reason.items():
            self.open_drops = True
            rest = self._extend_record(why, result_ids)
            for start in range(0, len(rest), _IDS_PER_RECORD):
                ids = rest[start : start + _IDS_PER_RECORD]
                self._writer.execute(
                    "INSERT INTO drops (first, last, count, why, at, result_ids, open)"
                    " VALUES (?, ?, ?, ?, ?, ?, 1)",
                    (ids[0], ids[-1], len(ids), why, utc_text(), json.dumps(ids)),
                )

    def _extend_record(self, why: str, result_ids: list[str]) -> list[str]:
        """Note results in the record that is open for this reason; returns those that need another one."""
        query = "SELECT id, count, result_ids FROM drops WHERE open AND why = ? ORDER BY id DESC LIMIT 1"
        found = self._writer.execute(query, (why,)).fetchone()
        if found is None:
            return result_ids
        number, count, noted = found[0], found[1], json.loads(found[2])
        if self.records < _RECORDS_WITH_IDS and len(noted) == count:
            fits = result_ids[: _IDS_PER_RECORD - count]
            noted += fits
        else:
            fits, noted = result_ids, []
        if fits:
            self._writer.execute(
                "UPDATE drops SET last = ?, count = count + ?, at = ?, result_ids = ? WHERE id = ?",
                (fits[-1], len(fits), utc_text(), json.dumps(noted), number),
            )
        return result_ids[len(fits) :]
