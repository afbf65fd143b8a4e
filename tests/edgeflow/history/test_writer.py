"""The writer: nothing that goes wrong with the history delays the line, and what is missing is counted."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm
from edgeflow.history.database.store import Retention
from edgeflow.history.labels import add_label
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import AlarmSpan, HistoryEntry
from edgeflow.history.writer import QUEUE_SIZE, History
from simulators.results import simulated_result
from tests.edgeflow.history.test_reader import label
from tests.support.waiting import wait_until

AT = datetime(2026, 11, 28, tzinfo=UTC)
LIMITS = Retention(days=400, bytes=2**40)


class Told:
    """Standing alarms by name."""

    def __init__(self) -> None:
        self.standing: dict[str, str] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm is None:
            self.standing.pop(name, None)
        else:
            self.standing[name] = alarm.text


def entry(number: int) -> HistoryEntry:
    return HistoryEntry(
        result=simulated_result(number, AT, {"C1": 0.5}), bundle_version=1, has_foreground=False
    )


def started(path: Path, told: Told, **settings: Any) -> History:
    history = History(path, LIMITS, Alarms("s", told), **settings)
    history.start()
    return history


def feed(history: History, *numbers: int) -> None:
    for number in numbers:
        history.offer(entry(number))
    history.stored([f"session-{number:06d}" for number in numbers])


def recorded(path: Path) -> list[str]:
    with contextlib.suppress(Exception), HistoryReader(path) as reader:
        return [row.part_id for row in reader.rows()][::-1]
    return []


def test_results_are_recorded_once_the_outbox_has_them(tmp_path: Path) -> None:
    path, told = tmp_path / "state" / "history.db", Told()
    history = started(path, told)
    feed(history, 1, 2)
    history.offer(entry(3))  # the outbox has not told of this one
    wait_until(lambda: recorded(path) == ["P-1", "P-2"])
    time.sleep(0.6)
    assert recorded(path) == ["P-1", "P-2"]
    history.stored(["session-000003"])
    wait_until(lambda: len(recorded(path)) == 3)
    feed(history, 3)  # again
    history.offer(entry(4))
    history.close()
    assert recorded(path) == ["P-1", "P-2", "P-3", "P-4"], "the end writes what waits"
    assert told.standing == {}


def test_a_locked_database_holds_nobody_up_and_loses_nothing_that_fits(tmp_path: Path) -> None:
    path, told = tmp_path / "history.db", Told()
    history = started(path, told)
    feed(history, 1)
    wait_until(lambda: recorded(path) == ["P-1"])
    blocker = sqlite3.connect(path, isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    feed(history, 2)
    wait_until(lambda: "history" in told.standing)
    assert "locked" in told.standing["history"]
    begun_s = time.monotonic()
    for number in range(3, QUEUE_SIZE + 203):
        history.offer(entry(number))
    assert time.monotonic() - begun_s < 60  # building the results takes most of it
    blocker.execute("ROLLBACK")
    blocker.close()
    wait_until(lambda: "history" not in told.standing)
    history.close(30)
    with HistoryReader(path) as reader:
        (gap,) = reader.gaps()
        assert reader.count() + gap.count == QUEUE_SIZE + 202
        assert gap.count >= 1


def test_a_full_disk_is_an_alarm_and_the_outbox_keeps_its_room(tmp_path: Path) -> None:
    told = Told()
    history = started(tmp_path / "history.db", told, min_free_bytes=2**62)
    feed(history, 1)
    wait_until(lambda: "history" in told.standing)
    assert "less than history.min_free_mb" in told.standing["history"]
    history.close()


def test_a_damaged_database_is_set_aside_and_begun_anew_with_its_labels(tmp_path: Path) -> None:
    path, told = tmp_path / "history.db", Told()
    history = started(path, told)
    feed(history, *range(200))
    history.close()
    add_label(path, label("session-000007", "NG"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'results_by_age'"
        ).fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    history = started(path, told)
    feed(history, 300)
    wait_until(lambda: recorded(path) == ["P-300"])
    history.close()
    assert "1 labels saved" in told.standing["history.damaged"]
    (kept,) = tmp_path.glob("history.db.damaged-*[0-9Z]")
    assert kept.read_bytes() == bytes(content), "nothing that was recorded is deleted"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT COUNT(*) FROM labels").fetchone() == (1,)


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path, told = tmp_path / "history.db", Told()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE future (x)")
        connection.execute("PRAGMA user_version = 99")
        connection.commit()
    before = path.read_bytes()
    history = started(path, told)
    feed(history, 1)
    wait_until(lambda: "history" in told.standing)
    assert "written by a newer edgeflow (format 99" in told.standing["history"]
    history.close()
    assert path.read_bytes()[100:] == before[100:]  # the header names the journal's kind
    assert list(tmp_path.glob("*.damaged*")) == []


def test_a_removed_database_is_begun_anew_while_the_box_runs(tmp_path: Path) -> None:
    path, told = tmp_path / "history.db", Told()
    history = started(path, told)
    feed(history, 1)
    wait_until(lambda: recorded(path) == ["P-1"])
    path.unlink()
    feed(history, 2)
    wait_until(lambda: recorded(path) == ["P-2"])
    history.close()
    assert "somebody removed the file" in told.standing["history.removed"]


def test_results_wait_for_the_outbox_only_so_long(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    history = started(path, Told(), patience_s=0.3)
    history.offer(entry(1))
    wait_until(lambda: recorded(path) == ["P-1"])
    history.close()


def test_alarms_are_recorded_from_when_to_when_they_stood(tmp_path: Path) -> None:
    path, alarms = tmp_path / "history.db", Alarms("s", Told())
    history = History(path, LIMITS, alarms)
    history.start()
    alarms.raise_("camera_stale", "error", "camera 'C1' is offline", subject="C1")
    alarms.raise_("outbox", "warning", "nearly full")
    wait_until(lambda: len(spans(path)) == 2)
    alarms.raise_("camera_stale", "error", "camera 'C1' is offline: unplugged", subject="C1")
    alarms.clear("outbox")
    wait_until(lambda: spans(path)[1].ended_at is not None)
    history.close()
    stale, outbox = spans(path)
    assert (stale.code, stale.subject, stale.severity) == ("camera_stale", "C1", "error")
    assert stale.text.endswith("unplugged")
    assert stale.ended_at is None
    assert outbox.ended_at is not None
    assert outbox.raised_at <= outbox.ended_at
    again = started(path, Told())  # the box before ended without a word
    wait_until(lambda: spans(path)[0].ended_at is not None)
    again.close()


def test_a_history_of_the_first_format_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "history.db"
    history = started(path, Told())
    feed(history, 1)
    wait_until(lambda: recorded(path) == ["P-1"])
    history.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE alarms")
        connection.execute("DROP INDEX results_by_product")
        connection.execute("ALTER TABLE results DROP COLUMN product")
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    assert recorded(path) == []  # a reader changes nothing
    started(path, Told()).close()
    assert recorded(path) == ["P-1"]
    assert spans(path) == []


def spans(path: Path) -> list[AlarmSpan]:
    with contextlib.suppress(Exception), HistoryReader(path) as reader:
        return reader.alarms(AT, datetime(2100, 1, 1, tzinfo=UTC))
    return []
