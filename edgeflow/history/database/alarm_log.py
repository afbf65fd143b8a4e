"""Alarms in the history: from when to when each one stood."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from edgeflow.contracts.messages import Alarm
from edgeflow.history.records import AlarmSpan, epoch_ms, utc_of

__all__ = ["AlarmLog", "alarm_spans"]

_MOST = 10_000
_LONGEST = 2000


class AlarmLog:
    """Records changes of the standing alarms, for one writing thread.

    Alarms that stood when a box ended without a word are over with the next box; they ended, as far as is
    known, with the last result.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._begun = False
        self._known: dict[str, tuple[int, Alarm]] = {}

    def changes(self, standing: Iterable[Alarm]) -> bool:
        """Return True if these are not the alarms that were recorded last."""
        return not self._begun or {a.name: a for a in standing} != {n: a for n, (_, a) in self._known.items()}

    def note(self, standing: Iterable[Alarm], now: datetime) -> None:
        """Record what changed, within a transaction of the caller.

        Raises:
            sqlite3.Error: it was not recorded; the next call tries again.
        """
        if not self._begun:
            self._end_left_over()
        now_ms, alarms = round(now.timestamp() * 1000), {alarm.name: alarm for alarm in standing}
        known = {name: kept for name, kept in self._known.items() if name in alarms}
        for name in self._known.keys() - known.keys():
            self._end(self._known[name][0], now_ms)
        for name, alarm in alarms.items():
            known[name] = (self._written(known.get(name), alarm, now_ms), alarm)
        self._known, self._begun = known, True

    def _end_left_over(self) -> None:
        self._connection.execute(
            "UPDATE alarms SET ended_ms = MAX(raised_ms, COALESCE((SELECT MAX(decided_ms) FROM results), 0)) "
            "WHERE ended_ms IS NULL"
        )

    def _end(self, number: int, now_ms: int) -> None:
        self._connection.execute("UPDATE alarms SET ended_ms = ? WHERE id = ?", (now_ms, number))

    def _written(self, known: tuple[int, Alarm] | None, alarm: Alarm, now_ms: int) -> int:
        """Insert an alarm, or bring the text of the same one up to date; return its number."""
        if known is not None and known[1].since == alarm.since:
            number, before = known
            if before != alarm:
                self._connection.execute(
                    "UPDATE alarms SET severity = ?, text = ? WHERE id = ?",
                    (alarm.severity, alarm.text[:_LONGEST], number),
                )
            return number
        if known is not None:  # over, and raised again between two looks
            self._end(known[0], now_ms)
        done = self._connection.execute(
            "INSERT INTO alarms (code, subject, severity, text, raised_ms) VALUES (?, ?, ?, ?, ?)",
            (alarm.code, alarm.subject, alarm.severity, alarm.text[:_LONGEST], epoch_ms(alarm.since)),
        )
        number = int(done.lastrowid or 0)
        self._connection.execute("DELETE FROM alarms WHERE id <= ?", (number - _MOST,))
        return number


def alarm_spans(connection: sqlite3.Connection, since: datetime, until: datetime) -> list[AlarmSpan]:
    """Return the alarms that stood within a time, the earliest first."""
    query = (
        "SELECT code, subject, severity, text, raised_ms, ended_ms FROM alarms "
        "WHERE raised_ms < ? AND (ended_ms IS NULL OR ended_ms >= ?) ORDER BY raised_ms, id"
    )
    bounds = (round(until.timestamp() * 1000), round(since.timestamp() * 1000))
    return [
        AlarmSpan(
            code=code,
            subject=subject,
            severity=severity,
            text=text,
            raised_at=utc_of(raised_ms),
            ended_at=None if ended_ms is None else utc_of(ended_ms),
        )
        for code, subject, severity, text, raised_ms, ended_ms in connection.execute(query, bounds)
    ]
