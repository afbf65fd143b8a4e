"""The writer: commits batches of results, then acknowledges them to their boxes."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

from edgeflow.change_log import ChangeLog
from edgeflow.collector.figures import CollectorCounts
from edgeflow.collector.inbox import Inbox
from edgeflow.collector.other_consumers import SessionWatch
from edgeflow.collector.records import Received, ResultRow, Row, read_row, set_aside
from edgeflow.collector.stores.store import BoxSeen, RowRefusedError, Store, StoreUnavailableError, Written

__all__ = ["Writer"]

logger = logging.getLogger(__name__)

_PAUSES_S = (0.1, 0.2, 0.4, 0.8, 1.0)  # between attempts while the database takes nothing
_TICK_S = 0.5
_NOTE_BOXES_S = 5.0
_MAINTAIN_S = 3600.0


class Writer:
    """One thread that takes batches from the inbox until it is stopped.

    Nothing is acknowledged before it is committed. While the database takes nothing, the batch in hand is
    tried again and again, and the inbox fills. A row that the database refuses for its values is found by
    halving the batch, set aside with the reason, and acknowledged, so that it holds up no other.

    Args:
        acknowledge: called with result ids by topic root, once they are committed.
    """

    def __init__(
        self,
        store: Store,
        inbox: Inbox,
        acknowledge: Callable[[Mapping[str, Sequence[str]]], None],
        *,
        max_rows: int,
        max_s: float,
    ) -> None:
        self._store = store
        self._inbox = inbox
        self._acknowledge = acknowledge
        self._max_rows = max_rows
        self._max_s = max_s
        self.counts = CollectorCounts()
        self.sessions = SessionWatch()
        self._seen: dict[str, BoxSeen] = {}
        self._problems = ChangeLog(logger, "results wait, nothing is acknowledged: ", logging.ERROR)
        self._stopping = threading.Event()
        self._busy_since_s: float | None = None
        self._noted_s = self._maintained_s = float("-inf")
        self._two_boxes_told: set[str] = set()
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def problem(self) -> str:
        """The reason why the database takes nothing; empty while it takes rows."""
        if self._problems.problem:
            return self._problems.problem
        since_s = self._busy_since_s
        waited_s = 0.0 if since_s is None else time.monotonic() - since_s
        return f"the database does not answer for {waited_s:.0f} s" if waited_s > 5.0 else ""

    def start(self) -> None:
        """Start the thread; return at once."""
        self._thread.start()

    def stop(self, patience_s: float) -> None:
        """Let the batch in hand be committed; take no more. What waits is sent again by its boxes."""
        self._stopping.set()
        self._thread.join(patience_s)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._once()
            except Exception:  # whatever it is, results must not stay for want of this thread
                logger.exception("a batch failed; it is sent again by its boxes")
                self._stopping.wait(_TICK_S)
        self._store.close()

    def _once(self) -> None:
        self._maintain()
        messages = self._inbox.take(self._max_rows, self._max_s, _TICK_S)
        if messages:
            rows = [read_row(message) for message in messages]
            self.commit(rows)
        self._note_boxes()

    def commit(self, rows: Sequence[Row]) -> None:
        """Commit rows, as often as it takes, and acknowledge them; return without where this is stopped."""
        begun_s = time.monotonic()
        written = self._until_written(rows)
        if written is None:
            return
        now = datetime.now(UTC)
        self.counts.committed(written, rows, seconds=time.monotonic() - begun_s, now=now)
        ids: dict[str, list[str]] = defaultdict(list)
        for row in rows:
            if row.result_id:
                ids[row.source.root].append(row.result_id)
        self._acknowledge(ids)
        self._observe(rows, now)

    def _until_written(self, rows: Sequence[Row]) -> Written | None:
        attempt = 0
        while True:
            try:
                written = self._write(rows)
            except StoreUnavailableError as cause:
                self._problems.report(str(cause))
                self.counts.failures += 1
                pause_s = _PAUSES_S[min(attempt, len(_PAUSES_S) - 1)]
                attempt += 1
                if self._stopping.wait(pause_s):
                    return None
            else:
                if self._problems.clear():
                    logger.warning("the database takes results again")
                return written

    def _write(self, rows: Sequence[Row]) -> Written:
        """Commit rows in one transaction, or in several where one of them is refused."""
        try:
            self._busy_since_s = time.monotonic()
            return self._store.write(rows, datetime.now(UTC))
        except RowRefusedError as refusal:
            if len(rows) == 1:
                return self._write_aside(rows[0].source, refusal)
        finally:
            self._busy_since_s = None
        middle = len(rows) // 2
        first, second = self._write(rows[:middle]), self._write(rows[middle:])
        return Written(
            new=first.new + second.new, known=first.known + second.known, aside=first.aside + second.aside
        )

    def _write_aside(self, message: Received, refusal: RowRefusedError) -> Written:
        try:
            return self._store.write([set_aside(message, refusal.message)], datetime.now(UTC))
        except RowRefusedError as cause:  # not its values, then
            raise StoreUnavailableError(f"nothing can be set aside: {cause.message}") from cause

    def _observe(self, rows: Sequence[Row], now: datetime) -> None:
        """Log what is set aside; notice boxes, and two of them under one name."""
        now_s = time.monotonic()
        for row in rows:
            if not isinstance(row, ResultRow):
                reason = getattr(row, "reason", "")
                if reason:
                    logger.warning("%s/%s is set aside: %s", row.source.root, row.source.kind, reason)
                continue
            root = row.source.root
            two = self.sessions.add(root, row.session, now_s, replayed=row.replayed)
            before = self._seen.get(root)
            two = two or (before is not None and before.two_boxes)
            self._seen[root] = BoxSeen(root=root, session=row.session, seen_at=now, two_boxes=two)
            if two and root not in self._two_boxes_told:
                self._two_boxes_told.add(root)
                logger.error(
                    "%s: two boxes have this name: give one of them another station",
                    root,
                )

    def _note_boxes(self) -> None:
        now_s = time.monotonic()
        if not self._seen or now_s - self._noted_s < _NOTE_BOXES_S:
            return
        self._noted_s = now_s
        try:
            self._store.note_boxes(list(self._seen.values()))
            self._seen = {}
        except (StoreUnavailableError, RowRefusedError) as cause:
            logger.info("boxes are not noted: %s", cause)

    def _maintain(self) -> None:
        now_s = time.monotonic()
        if now_s - self._maintained_s < _MAINTAIN_S:
            return
        try:
            self._store.maintain(datetime.now(UTC))
            self._maintained_s = now_s
        except (StoreUnavailableError, RowRefusedError) as cause:
            self._maintained_s = now_s - _MAINTAIN_S + 10.0  # again soon
            logger.warning("partitions and retention: %s", cause)
