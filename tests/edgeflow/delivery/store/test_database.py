"""The outbox's database: what is durable when, limits to the last row and byte, ages by running time."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from edgeflow.contracts.messages import Dropped, Result, VerdictName, from_json
from edgeflow.delivery.store.aside import restore_rows
from edgeflow.delivery.store.database import OutboxDatabase
from edgeflow.delivery.store.drops import DroppedRow
from edgeflow.delivery.store.records import DROPPED, Entry, Limits, entry_of
from edgeflow.errors import StorageError
from edgeflow.run_time import Boot

SAMPLE = from_json(Result, (Path(__file__).parents[3] / "samples" / "result.json").read_bytes())
PLENTY = Limits(rows=10_000)
WALL_S = 1.8e9
HOUR_S = 3600.0


class Computer:
    """Its time since it was started."""

    def __init__(self) -> None:
        self.up_s = 0.0
        self.starts = 1

    def __call__(self) -> Boot:
        return Boot(id=f"boot-{self.starts}", up_s=self.up_s)

    def restart(self) -> None:
        self.starts += 1
        self.up_s = 0.0


def entry(number: int, verdict: VerdictName = "OK", root: str = "") -> Entry:
    result = SAMPLE.model_copy(update={"result_id": f"r-{number:05d}", "seq": number, "verdict": verdict})
    return entry_of(result, root)


def ids(store: OutboxDatabase) -> list[str]:
    return [row.result_id for row in store.pending(0, 10_000) if row.verdict != DROPPED]


def write(store: OutboxDatabase, *entries: Entry, limits: Limits = PLENTY, wall_s: float = WALL_S) -> int:
    return store.write(entries, [], [], limits, wall_s)


def told(store: OutboxDatabase) -> list[Dropped]:
    return [from_json(Dropped, row.payload) for row in store.pending(0, 10_000) if row.verdict == DROPPED]


def synchronous(store: OutboxDatabase) -> int:
    """0 off, 1 normal, 2 full: whether the last transaction was on the disk when it returned."""
    return int(store._writer.execute("PRAGMA synchronous").fetchone()[0])


def test_what_is_stored_is_on_the_disk_and_a_deletion_alone_does_not_wait_for_it(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    write(store, entry(1), entry(2))
    assert synchronous(store) == 2
    store.write([], ["r-00001"], [], PLENTY, WALL_S)
    assert synchronous(store) == 1
    store.write([], [], [DroppedRow(result_id="r-9", why="why")], PLENTY, WALL_S)
    assert synchronous(store) == 2
    store.write([], ["r-00001"], [], PLENTY, WALL_S)
    store.close_drop_records(WALL_S)
    assert synchronous(store) == 2
    store.write([], ["r-00001"], [], PLENTY, WALL_S)
    (row, _) = store.pending(0, 9)
    store.write([], [], [], PLENTY, WALL_S, aside=[([row.id], "why")])
    assert synchronous(store) == 2
    store.write([], ["r-00001"], [], PLENTY, WALL_S)
    store.write([], [], [], PLENTY, WALL_S, restored=[row.id])
    assert synchronous(store) == 2
    store.close()


def test_readers_and_the_writer_do_not_wait_for_each_other_and_the_log_stays_small(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    assert store._writer.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    assert store._writer.execute("PRAGMA wal_autocheckpoint").fetchone()[0] == 250
    for number in range(0, 3000, 100):
        write(store, *(entry(n) for n in range(number, number + 100)))
    assert (tmp_path / "outbox.db-wal").stat().st_size < 2_500_000
    with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"):
        store._reader.execute("DELETE FROM results")
    store.close()


def test_a_transaction_that_fails_changes_neither_file_nor_counts(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    write(store, entry(1), entry(2))
    before = store.tally
    odd = Entry(result_id="odd\ud800", verdict="OK", priority=0, payload=b"{}")
    with pytest.raises(UnicodeEncodeError):
        store.write([entry(3), odd], ["r-00001"], [], Limits(rows=1), WALL_S)
    assert (store.tally, ids(store)) == (before, ["r-00001", "r-00002"])
    write(store, entry(4))
    assert store.count == 3
    store.close()


def test_as_many_rows_as_are_allowed_and_not_one_more(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    three = Limits(rows=3)
    assert write(store, entry(1), entry(2), entry(3), limits=three) == 0
    assert write(store, entry(4), limits=three) == 1
    assert ids(store) == ["r-00002", "r-00003", "r-00004"]
    store.close()


def test_as_many_bytes_as_are_allowed_and_not_one_more(tmp_path: Path) -> None:
    size = entry(1).size
    store = OutboxDatabase(tmp_path / "outbox.db")
    assert write(store, entry(1), entry(2), limits=Limits(rows=99, bytes=2 * size)) == 0
    assert store.bytes == 2 * size
    assert write(store, limits=Limits(rows=99, bytes=2 * size - 1)) == 1
    assert ids(store) == ["r-00002"]
    store.close()


def test_bytes_count_also_when_there_are_just_as_many_rows_as_are_allowed(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    write(store, entry(1), entry(2))
    assert write(store, limits=Limits(rows=2, bytes=entry(1).size)) == 1
    assert ids(store) == ["r-00002"]
    store.close()


def test_results_go_when_the_box_ran_for_longer_than_max_age_and_not_before(tmp_path: Path) -> None:
    computer = Computer()
    store = OutboxDatabase(tmp_path / "outbox.db", computer)
    hour = Limits(rows=99, age_s=HOUR_S)
    write(store, entry(1, "NG"), limits=hour)
    computer.up_s = 1.0
    write(store, entry(2), limits=hour)
    computer.up_s = HOUR_S
    assert write(store, limits=hour) == 0
    computer.up_s = HOUR_S + 0.5
    assert write(store, limits=hour) == 1
    assert ids(store) == ["r-00002"]
    store.close_drop_records(WALL_S)
    assert [(drop.why, drop.result_ids) for drop in told(store)] == [
        ("older than 1 h; given up", ("r-00001",))
    ]
    store.close()


@pytest.mark.parametrize("wall_s", [0.0, 1000.0, WALL_S - 4 * 86_400, WALL_S + 4 * 86_400, 4e9, -5.0])
def test_the_wall_clock_makes_nothing_older(tmp_path: Path, wall_s: float) -> None:
    computer = Computer()
    store = OutboxDatabase(tmp_path / "outbox.db", computer)
    hour = Limits(rows=999, age_s=HOUR_S)
    write(store, entry(0, "NG"), limits=hour, wall_s=wall_s)
    write(store, *(entry(n, "NG") for n in range(1, 100)), limits=hour)
    for number in range(100, 130):
        computer.up_s += 1.0
        assert write(store, entry(number), limits=hour, wall_s=wall_s) == 0
    computer.up_s = HOUR_S + 0.5  # what was stored at first is old now, whatever stamp lies in its way
    assert write(store, limits=hour) == 100
    store.close()


def test_ages_go_on_over_restarts_and_reboots(tmp_path: Path) -> None:
    computer = Computer()
    hour = Limits(rows=99, age_s=HOUR_S)
    store = OutboxDatabase(tmp_path / "outbox.db", computer)
    write(store, entry(1), limits=hour)
    computer.up_s = 0.4 * HOUR_S
    store.close()
    computer.up_s = 0.5 * HOUR_S  # the program was away, the computer was not
    store = OutboxDatabase(tmp_path / "outbox.db", computer)
    assert store.run_s == pytest.approx(0.5 * HOUR_S)
    store.close()
    computer.restart()
    computer.up_s = 0.4 * HOUR_S
    store = OutboxDatabase(tmp_path / "outbox.db", computer)
    assert write(store, limits=hour) == 0
    computer.up_s = 0.6 * HOUR_S
    assert write(store, limits=hour) == 1
    store.close()


def test_a_crash_costs_at_most_a_minute_of_running_time(tmp_path: Path) -> None:
    computer = Computer()
    store = OutboxDatabase(tmp_path / "outbox.db", computer)
    for number in range(100):
        computer.up_s = 10.0 * number
        if store.clock_is_due:
            store.write([], [], [], PLENTY, WALL_S)
    with sqlite3.connect(tmp_path / "outbox.db") as other:  # as after a crash
        kept = other.execute("SELECT value FROM meta WHERE key = 'run_time'").fetchone()[0]
    other.close()
    assert 990.0 - 60.0 <= json.loads(kept)["run_s"] <= 990.0
    store.close()


def test_one_open_record_grows_while_the_consumer_is_away(tmp_path: Path) -> None:
    """Each reconnection may ask for the records; nobody confirms them."""
    store = OutboxDatabase(tmp_path / "outbox.db")
    limits = Limits(rows=50)
    for number in range(2000):
        write(store, entry(number, "NG" if number % 40 == 0 else "OK"), limits=limits)
        if store.has_records_to_close:
            store.close_drop_records(WALL_S)
    assert store.records == len(told(store)) == 10
    assert [row.verdict for row in store.pending(0, 10_000)].count("NG") == 50  # of as many
    store.write(
        [], [row.result_id for row in store.pending(0, 10_000) if row.verdict == DROPPED], [], PLENTY, 0
    )
    store.close_drop_records(WALL_S)
    assert [len(record.result_ids) for record in told(store)] == [500, 500, 500, 440]
    assert [record.count for record in told(store)] == [500, 500, 500, 440]
    store.close()


def test_names_of_what_was_given_up_take_a_tenth_of_the_outbox_at_most_then_they_are_counted(
    tmp_path: Path,
) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    limits = Limits(rows=5, bytes=100_000)
    for start in range(0, 20_000, 100):
        store.write(
            [], [], [DroppedRow(result_id=f"r-{start + n:05d}", why="why") for n in range(100)], limits, 0
        )
    kept = sqlite3.connect(tmp_path / "outbox.db")
    ((size, rows),) = kept.execute("SELECT SUM(LENGTH(result_ids)), COUNT(*) FROM drops").fetchall()
    kept.close()
    assert 9_000 < size <= 10_000
    assert rows <= 4
    store.close_drop_records(0)
    records = told(store)
    assert sum(record.count for record in records) == 20_000
    assert (records[0].first, records[-1].last) == ("r-00000", "r-19999")
    named = [record for record in records if record.result_ids]
    assert all(len(record.result_ids) == record.count for record in named)
    assert [record.result_ids for record in records if record not in named] == [()]
    store.close()


def test_a_record_holds_500_names_and_the_next_one_goes_on(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    for count in (499, 1, 1):
        number = sum(drop.count for drop in store.drops())
        victims = [DroppedRow(result_id=f"r-{number + n}", why="why") for n in range(count)]
        store.write([], [], victims, PLENTY, 0)
    assert [(drop.first, drop.last, drop.count) for drop in store.drops()] == [
        ("r-0", "r-499", 500),
        ("r-500", "r-500", 1),
    ]
    store.close()


def test_records_are_of_one_reason_and_one_station(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    for root, why in (("a", "x"), ("b", "x"), ("a", "y"), ("a", "x")):
        store.write([], [], [DroppedRow(result_id=f"{root}{why}", why=why, root=root)], PLENTY, 0)
    store.close_drop_records(0)
    rows = [row for row in store.pending(0, 99) if row.verdict == DROPPED]
    found = [(row.root, from_json(Dropped, row.payload)) for row in rows]
    assert [(root, record.why, record.count) for root, record in found] == [
        ("a", "x", 2), ("b", "x", 1), ("a", "y", 1),
    ]  # fmt: skip
    store.close()


def test_a_record_that_nobody_confirms_expires_like_a_result(tmp_path: Path) -> None:
    computer = Computer()
    store = OutboxDatabase(tmp_path / "outbox.db", computer)
    hour = Limits(rows=99, age_s=HOUR_S)
    store.write([], [], [DroppedRow(result_id="r-1", why="why")], hour, 0)
    store.close_drop_records(0)
    assert store.records == 1
    computer.up_s = HOUR_S + 1
    assert write(store, limits=hour) == 0  # it is no result
    assert (store.records, store.count, store.bytes, store.tally.open_drops) == (0, 0, 0, False)
    assert len(store.drops()) == 1  # for 'edgeflow outbox status'
    store.close()


def test_a_record_of_drops_never_makes_room_for_anything(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    store.write([], [], [DroppedRow(result_id="r-1", why="why")], PLENTY, 0)
    store.close_drop_records(0)
    assert write(store, entry(2), limits=Limits(rows=9, bytes=1)) == 1
    assert (store.records, ids(store)) == (1, [])
    store.close()


def test_rows_know_the_station_that_made_them_also_when_they_are_restored(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    write(store, entry(1, root="edgeflow/v1/a/b/c"), entry(2))
    first = store.pending(0, 1)[0]
    store.write([], [], [], PLENTY, 0, aside=[([first.id], "why")])
    store.write([], [], [], PLENTY, 0, restored=[first.id])
    assert [(row.result_id, row.root) for row in store.pending(0, 9)] == [
        ("r-00002", ""), ("r-00001", "edgeflow/v1/a/b/c"),
    ]  # fmt: skip
    store.close()


def test_what_another_process_restores_is_noticed_and_counted(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    write(store, entry(1), entry(2))
    first = store.pending(0, 1)[0]
    store.write([], [], [], PLENTY, 0, aside=[([first.id], "why")])
    assert not store.look()
    with sqlite3.connect(tmp_path / "outbox.db") as other:
        assert restore_rows(other, None) == 1
    other.close()
    assert store.look()
    assert not store.look()
    assert (store.count, store.tally.aside) == (2, 0)
    write(store, entry(3))
    assert store.count == 3
    store.close()


def test_the_newest_number_is_known_also_when_the_file_cannot_be_read_any_more(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    assert store.last_known_id == 0
    write(store, entry(1), entry(2))
    write(store, entry(3))
    assert store.last_known_id == store.last_id() == 3
    store.go_on_after(70)
    write(store, entry(4))
    assert (store.last_known_id, store.pending(0, 9)[-1].id) == (71, 71)
    store.close()


def test_counts_are_those_of_the_file(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    limits = Limits(rows=20)
    for number in range(60):
        write(store, entry(number, ("OK", "NG", "UNDECIDED")[number % 3]), limits=limits)  # type: ignore[arg-type]
        rows = store.pending(0, 99)
        gone = [rows[0].result_id] * (number % 4 == 0)
        aside = [([rows[-1].id], "why")] * (number % 5 == 0)
        store.write([], gone, [], limits, 0, aside=aside)
        restored = [each.id for each in store.aside()[:1]] * (number % 11 == 0)
        store.write([], [], [], limits, 0, restored=restored)
        if number % 13 == 0:
            store.close_drop_records(0)
    before = store.tally
    store.close()
    again = OutboxDatabase(tmp_path / "outbox.db")
    assert again.tally == before
    assert before.aside
    again.close()


def test_a_file_of_a_newer_edgeflow_is_named_and_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    OutboxDatabase(path).close()
    with sqlite3.connect(path) as connection:
        known = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {known + 1}")
    connection.close()
    with pytest.raises(StorageError, match=f"outbox {path}: written by a newer edgeflow"):
        OutboxDatabase(path)
