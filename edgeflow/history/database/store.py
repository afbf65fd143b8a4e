"""The history's tables as the writer uses them: results in, old ones out, one transaction at a time."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from edgeflow.contracts.messages import Alarm, Result, ViewResult
from edgeflow.history.database.alarm_log import AlarmLog
from edgeflow.history.database.schema import check, open_for_writing
from edgeflow.history.records import Gap, HistoryEntry, epoch_ms
from edgeflow.run_time import Boot, RunTime, parse_run_time, run_time_text

__all__ = ["HistoryStore", "Retention", "worst_view"]

_RUN_TIME_S = 60.0
_DAY_S = 86_400.0
_REMOVED_AT_ONCE = 500
_RESULT_COLUMNS = (
    "result_id", "part_id", "trigger_id", "session", "seq", "verdict", "reason", "reason_code", "score",
    "score_raw", "threshold", "exact", "worst_view", "bundle", "triggered_at", "decided_ms", "run_s",
    "total_ms", "deadline_ms", "deadline_met", "gate_told", "durations", "missing", "context", "alarms",
    "evidence", "kept", "ok_share", "product",
)  # fmt: skip
_INSERT_RESULT = (
    f"INSERT OR IGNORE INTO results ({', '.join(_RESULT_COLUMNS)}) "  # noqa: S608
    f"VALUES ({', '.join('?' * len(_RESULT_COLUMNS))})"
)
_INSERT_VIEW = "INSERT INTO views VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"


@dataclass(frozen=True, kw_only=True)
class Retention:
    """Bounds of the history; results with a label are never removed."""

    days: float
    bytes: int


class HistoryStore:
    """One open history for one writing thread.

    Args:
        boot: the present moment.

    Raises:
        NewerFormatError: the file belongs to a newer edgeflow.
        sqlite3.Error, OSError: damaged, or not to be opened.
    """

    def __init__(self, path: Path, boot: Boot) -> None:
        self._connection = open_for_writing(path)
        self._bundles: dict[tuple[str, str], int] = {}
        self._alarm_log = AlarmLog(self._connection)
        try:
            check(self._connection)
            kept = self._connection.execute("SELECT value FROM meta WHERE key = 'run_time'").fetchone()
        except BaseException:
            self._connection.close()
            raise
        self._run_time = parse_run_time(kept[0] if kept else None, boot)
        self._run_time_kept_s = float("-inf")

    def close(self) -> None:
        """Close the file; safe to call twice."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def write(self, entries: Sequence[HistoryEntry], gaps: Sequence[Gap], boot: Boot) -> None:
        """Record results and gaps in one transaction; a result id is recorded once.

        Raises:
            sqlite3.Error: nothing of it was recorded.
        """
        now = self._run_time.at(boot)
        with self._transaction():
            for entry in entries:
                self._insert(entry, now.run_s)
            self._connection.executemany(
                "INSERT INTO gaps (first, last, count, why, at_ms) VALUES (?, ?, ?, ?, ?)",
                [(g.first, g.last, g.count, g.why, round(g.at.timestamp() * 1000)) for g in gaps],
            )
            self._keep_run_time(now)

    def note_alarms(self, standing: Sequence[Alarm], now: datetime) -> None:
        """Record the alarms that were raised or are over since the last call; cheap where none were.

        Raises:
            sqlite3.Error: nothing of it was recorded.
        """
        if self._alarm_log.changes(standing):
            with self._transaction():
                self._alarm_log.note(standing, now)

    def take_labels(self, documents: Sequence[tuple[str, str]]) -> None:
        """Take over labels that could be read from a damaged file, as result id and JSON."""
        with self._transaction():
            self._connection.executemany(
                "INSERT INTO labels (result_id, document) VALUES (?, ?)", list(documents)
            )

    def retain(self, limits: Retention, boot: Boot) -> int:
        """Remove some results that are too old or too many; return how many.

        Call it again until it returns 0: each call is short.
        """
        oldest_s = self._run_time.at(boot).run_s - limits.days * _DAY_S
        if self.bytes > limits.bytes:
            chosen = "SELECT id FROM results WHERE label IS NULL ORDER BY id LIMIT ?"
            parameters: tuple[float, ...] = (_REMOVED_AT_ONCE,)
        else:
            chosen = "SELECT id FROM results WHERE label IS NULL AND run_s < ? ORDER BY run_s LIMIT ?"
            parameters = (oldest_s, _REMOVED_AT_ONCE)
        with self._transaction():
            done = self._connection.execute(f"DELETE FROM results WHERE id IN ({chosen})", parameters)  # noqa: S608
        return done.rowcount

    @property
    def bytes(self) -> int:
        """Size of what is recorded; the file itself does not shrink, and uses freed pages again."""
        size, count, free = (
            int(self._connection.execute(f"PRAGMA {name}").fetchone()[0])
            for name in ("page_size", "page_count", "freelist_count")
        )
        return size * (count - free)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            self._bundles.clear()  # their rows may be gone with the transaction
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _keep_run_time(self, now: RunTime) -> None:
        if now.run_s - self._run_time_kept_s < _RUN_TIME_S:
            return
        self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('run_time', ?)", (run_time_text(now),))
        self._run_time, self._run_time_kept_s = now, now.run_s

    def _insert(self, entry: HistoryEntry, run_s: float) -> None:
        row = _result_row(entry, self._bundle(entry), run_s)
        done = self._connection.execute(_INSERT_RESULT, row)
        if not done.rowcount:
            return
        self._connection.executemany(
            _INSERT_VIEW,
            [_view_row(done.lastrowid, view, entry.has_foreground) for view in entry.result.views],
        )

    def _bundle(self, entry: HistoryEntry) -> int:
        bundle = entry.result.bundle
        key = bundle.sha256, f"{bundle.backend}-{bundle.precision}"
        if key not in self._bundles:
            self._connection.execute(
                "INSERT OR IGNORE INTO bundles (name, version, sha256, graph) VALUES (?, ?, ?, ?)",
                (bundle.name, entry.bundle_version, *key),
            )
            found = self._connection.execute("SELECT id FROM bundles WHERE sha256 = ? AND graph = ?", key)
            self._bundles[key] = int(found.fetchone()[0])
        return self._bundles[key]


def worst_view(result: Result) -> str | None:
    """The view that a verdict is about: the first missing one, else the one with the highest score."""
    if result.sync.missing:
        return result.sync.missing[0]
    scored = [(view.score, view.id) for view in result.views if view.score is not None]
    return max(scored)[1] if scored else None


def _result_row(entry: HistoryEntry, bundle: int, run_s: float) -> tuple[object, ...]:
    result = entry.result
    scored = [view for view in result.views if view.score_raw is not None]
    exact = not entry.has_foreground or all(view.masked for view in scored)
    return (
        result.result_id, result.part_id, result.trigger_id, result.session, result.seq, result.verdict,
        result.reason, result.reason_code, result.score, result.score_raw, result.threshold, exact,
        worst_view(result), bundle, result.triggered_at, epoch_ms(result.decided_at), run_s,
        result.durations_ms.get("total", result.deadline.decided_after_ms), result.deadline.deadline_ms,
        result.deadline.met, result.gate_told, _json(result.durations_ms), _json(result.sync.missing),
        _json(result.context or {}), _json(entry.alarms), result.evidence, entry.kept, entry.ok_share,
        result.product,
    )  # fmt: skip


def _view_row(number: int | None, view: ViewResult, has_foreground: bool) -> tuple[object, ...]:
    regions = [region.model_dump() for region in view.regions]
    return (
        number, view.id, view.score, view.score_raw, view.threshold, view.masked or not has_foreground,
        view.frame_id, view.skew_ms, _json(regions) if regions else None,
    )  # fmt: skip


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
