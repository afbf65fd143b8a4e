"""The thread that writes the history: bounded, beside the line, after the outbox."""

from __future__ import annotations

import contextlib
import logging
import queue
import shutil
import sqlite3
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgeflow.alarms import Alarms
from edgeflow.change_log import ChangeLog
from edgeflow.clock import utc_now
from edgeflow.history.database.schema import NewerFormatError, is_damage, set_aside
from edgeflow.history.database.store import HistoryStore, Retention
from edgeflow.history.labels import read_label_documents
from edgeflow.history.records import Gap, HistoryEntry
from edgeflow.run_time import Boot, read_boot
from edgeflow.thread_activity import working

__all__ = ["History"]

logger = logging.getLogger(__name__)

QUEUE_SIZE = 4096
"""Results that wait in memory; about 4 kB each."""
_AT_ONCE = 500
_TICK_S = 0.25
_SILENT_S = 60.0  # a large file is checked at the start
PATIENCE_S = 10.0
"""So long a result waits for the outbox, which comes first."""
_RETRY_S = 2.0
_TIDY_S = 30.0
_REMEMBERED = 20_000
_CLOSE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    entry: HistoryEntry
    since_s: float


class History:
    """Records every result in a thread of its own; the line never waits for it.

    A result is recorded once the outbox has it on the disk, or after 10 s where the outbox is in trouble.
    What cannot be recorded (a full or frozen disk, a locked or damaged file) waits in memory, up to a bound;
    beyond it results are left out, counted, and recorded as a gap as soon as that is possible again. Nothing
    here decides what the outbox keeps.

    A damaged file is renamed and a new one begun, with the labels that can still be read. A file of a newer
    edgeflow is left alone: then nothing is recorded.

    Args:
        min_free_bytes: less free disk than this is left to the outbox.
        patience_s: so long a result waits for the outbox.
        boot: the present moment, for the age of results.

    Attributes:
        missed: results that were left out since the box started.
    """

    def __init__(
        self,
        path: Path,
        limits: Retention,
        alarms: Alarms | None = None,
        *,
        min_free_bytes: int = 0,
        patience_s: float = PATIENCE_S,
        boot: Callable[[], Boot] = read_boot,
    ) -> None:
        self._path, self._limits, self._alarms = path, limits, alarms
        self._min_free_bytes, self._patience_s, self._boot = min_free_bytes, patience_s, boot
        self._offered: queue.Queue[HistoryEntry] = queue.Queue(QUEUE_SIZE)
        self._delivered: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()
        self._waiting: OrderedDict[str, _Waiting] = OrderedDict()
        self._stored: OrderedDict[str, None] = OrderedDict()
        self.missed = 0
        self._missed_lock = threading.Lock()  # for the gap and the count alone
        self._missed: Gap | None = None
        self._store: HistoryStore | None = None
        self._problems = ChangeLog(logger, "history: ")
        self._retry_at_s = self._tidy_at_s = float("-inf")
        self._closing = threading.Event()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)

    def start(self) -> None:
        """Start the thread; return at once, whatever the disk does."""
        self._thread.start()

    def offer(self, entry: HistoryEntry) -> None:
        """Take a result for recording; never blocks."""
        try:
            self._offered.put_nowait(entry)
        except queue.Full:
            self._miss([entry.result.result_id], "the disk of the history was too slow")

    def stored(self, result_ids: Sequence[str]) -> None:
        """Take note of results that the outbox has on the disk; never blocks."""
        if result_ids:
            self._delivered.put(result_ids)

    def close(self, timeout_s: float = _CLOSE_S) -> None:
        """Record what waits, for at most ``timeout_s``, then end."""
        self._closing.set()
        if self._thread.ident is not None:
            self._finished.wait(timeout_s)

    def _run(self) -> None:
        while True:
            working(_SILENT_S)
            last = self._closing.wait(_TICK_S)  # results of a moment share one transaction
            try:
                self._take_in()
                self._turn(time.monotonic(), last=last)
            except (sqlite3.Error, OSError, NewerFormatError) as cause:
                self._failed(cause)
            except Exception as cause:  # whatever it is, it costs the history and nothing else
                logger.exception("history %s: the writer goes on after an error", self._path)
                self._failed(cause)
            if last:
                break
        if self._store is not None:
            self._store.close()
        self._finished.set()

    def _take_in(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._keep(self._offered.get_nowait())
        with contextlib.suppress(queue.Empty):
            while True:
                self._stored.update(dict.fromkeys(self._delivered.get_nowait()))
        while len(self._stored) > _REMEMBERED:
            self._stored.popitem(last=False)

    def _keep(self, entry: HistoryEntry) -> None:
        self._waiting[entry.result.result_id] = _Waiting(entry=entry, since_s=time.monotonic())
        if len(self._waiting) > QUEUE_SIZE:
            lost, _ = self._waiting.popitem(last=False)
            self._miss([lost], self._problems.problem or "the history could not be written")

    def _turn(self, now_s: float, *, last: bool) -> None:
        if now_s < self._retry_at_s and not last:
            return
        store = self._opened()
        if store is None:
            return
        self._write(store, now_s, everything=last)
        if self._alarms is not None:
            store.note_alarms(self._alarms.standing(), utc_now())
        if now_s >= self._tidy_at_s and not last:
            self._tidy_at_s = now_s + (0.0 if store.retain(self._limits, self._boot()) else _TIDY_S)
        self._recovered()

    def _write(self, store: HistoryStore, now_s: float, *, everything: bool) -> None:
        due = [
            key
            for key, waiting in self._waiting.items()
            if everything or key in self._stored or now_s - waiting.since_s > self._patience_s
        ]
        for first in range(0, max(len(due), 1), _AT_ONCE):
            portion = due[first : first + _AT_ONCE]
            gap = self._missed
            if not portion and gap is None:
                return
            self._require_room()
            entries = [self._waiting[key].entry for key in portion]
            store.write(entries, [gap] if gap else [], self._boot())
            with self._missed_lock:
                self._missed = _rest(self._missed, gap)
            for key in portion:
                del self._waiting[key]
                self._stored.pop(key, None)
            working(_SILENT_S)

    def _require_room(self) -> None:
        free = shutil.disk_usage(self._path.parent).free
        if free < self._min_free_bytes:
            raise OSError(
                f"{free / 1e6:.0f} MB are free there, less than history.min_free_mb "
                f"{self._min_free_bytes / 1e6:g}"
            )

    def _opened(self) -> HistoryStore | None:
        """The open store; one whose file was removed or damaged is begun anew."""
        if self._store is not None and self._path.exists():
            return self._store
        if self._store is not None:
            self._store.close()
            self._store = None
            self._raise(
                "warning", f"history {self._path}: somebody removed the file; a new one is begun", "removed"
            )
        try:
            self._store = HistoryStore(self._path, self._boot())
        except sqlite3.DatabaseError as cause:
            if not is_damage(cause):
                raise
            self._begin_anew(cause)
        return self._store

    def _begin_anew(self, cause: Exception) -> None:
        """Set the damaged file aside, and go on in a new one with the labels that can be read."""
        if self._store is not None:
            self._store.close()
            self._store = None
        labels = _salvaged_labels(self._path)
        kept = set_aside(self._path, cause)
        self._store = HistoryStore(self._path, self._boot())
        self._store.take_labels(labels)
        self._raise(
            "error",
            f"history {self._path}: was damaged ({cause}); a new one is begun, with {len(labels)} labels "
            f"saved; the old one is {kept.name}",
            "damaged",
        )

    def _failed(self, cause: Exception) -> None:
        if isinstance(cause, sqlite3.Error) and is_damage(cause):
            with contextlib.suppress(sqlite3.Error, OSError):
                self._begin_anew(cause)
                return
        self._retry_at_s = time.monotonic() + _RETRY_S
        text = cause.message if isinstance(cause, NewerFormatError) else f"history {self._path}: {cause}"
        problem = f"{text}; results are delivered as before, and missing in the history until that is over"
        if self._problems.report(problem):
            self._raise("warning", problem)

    def _recovered(self) -> None:
        if self._problems.clear() and self._alarms:
            self._alarms.clear("history")

    def _miss(self, result_ids: Sequence[str], why: str) -> None:
        with self._missed_lock:
            self.missed += len(result_ids)
            before = self._missed
            self._missed = Gap(
                first=before.first if before else result_ids[0],
                last=result_ids[-1],
                count=(before.count if before else 0) + len(result_ids),
                why=before.why if before else why,
                at=utc_now(),
            )

    def _raise(self, severity: str, text: str, subject: str = "") -> None:
        if self._alarms is not None:
            self._alarms.raise_(
                "history", "error" if severity == "error" else "warning", text, subject=subject
            )


def _rest(now: Gap | None, written: Gap | None) -> Gap | None:
    """Results that were missed while the gap before was written."""
    if now is None or written is None:
        return now
    if now.count == written.count:
        return None
    return Gap(first=now.last, last=now.last, count=now.count - written.count, why=now.why, at=now.at)


def _salvaged_labels(path: Path) -> list[tuple[str, str]]:
    with contextlib.suppress(sqlite3.Error):
        uri = f"{path.absolute().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            return read_label_documents(connection)
    return []
