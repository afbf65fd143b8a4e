"""The outbox keeps what it was given, drops by rule only, and outlives crashes, full disks and damage."""

from __future__ import annotations

import json
import logging
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm, Dropped, Result, VerdictName, from_json, to_json
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import DROPPED, Limits
from edgeflow.errors import StorageError
from tests.support.outboxes import made_room
from tests.support.waiting import wait_until

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"


def result(number: int, verdict: VerdictName = "OK") -> Result:
    sample = from_json(Result, SAMPLE.read_bytes())
    return sample.model_copy(update={"result_id": f"r-{number}", "verdict": verdict, "seq": number})


def put(outbox: Outbox, *results: Result) -> None:
    for each in results:
        outbox.put(each)
    assert outbox.flush()


def delete(outbox: Outbox, *result_ids: str) -> None:
    outbox.delete(result_ids)
    assert outbox.flush()


def ids(outbox: Outbox) -> list[str]:
    return [row.result_id for row in outbox.pending(0, 10_000)]


def told_drops(outbox: Outbox) -> list[Dropped]:
    """The records that the consumer would get."""
    outbox.close_drop_records()
    assert outbox.flush()
    return [from_json(Dropped, row.payload) for row in outbox.pending(0, 10_000) if row.verdict == DROPPED]


class Panel:
    """Collects the alarms that stand."""

    def __init__(self) -> None:
        self.standing: dict[str, Alarm] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm:
            self.standing[name] = alarm
        else:
            self.standing.pop(name, None)


def test_results_come_back_in_order_and_whole(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "new" / "outbox.db", Limits(rows=10))
    put(outbox, *(result(number) for number in (1, 2, 3)))
    rows = outbox.pending(0, 2)
    assert [row.result_id for row in rows] == ["r-1", "r-2"]
    assert from_json(Result, rows[0].payload) == result(1)
    assert [row.result_id for row in outbox.pending(rows[-1].id, 10)] == ["r-3"]
    assert outbox.read(rows[1].id) == rows[1]
    outbox.close()


def test_delivered_results_go_and_their_ids_are_never_used_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    put(outbox, result(1))
    first = outbox.pending(0, 1)[0]
    delete(outbox, "r-1", "r-1", "unknown")
    assert outbox.count() == 0
    assert outbox.read(first.id) is None
    put(outbox, result(2))
    assert outbox.pending(0, 1)[0].id > first.id
    assert outbox.last_id() == outbox.pending(0, 1)[0].id
    outbox.close()


def test_the_same_result_is_stored_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    put(outbox, result(1), result(1))
    assert outbox.count() == 1
    outbox.close()


def test_more_ids_than_sqlite_takes_in_one_statement_are_deleted(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    put(outbox, result(1))
    delete(outbox, *(f"other-{n}" for n in range(1200)), "r-1")
    assert outbox.count() == 0
    outbox.close()


def test_listeners_hear_of_a_result_once_it_can_be_read(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    heard: list[tuple[str, ...]] = []
    outbox.on_stored(lambda stored: heard.append((*stored, *ids(outbox))))
    put(outbox, result(1))
    assert heard == [("r-1", "r-1")]
    outbox.close()


def test_many_more_than_one_transaction_takes_are_all_stored(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Limits(rows=10_000))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # so that they pile up
    for number in range(3000):
        outbox.put(result(number))
    other.execute("ROLLBACK")
    other.close()
    assert outbox.flush()
    assert ids(outbox) == [f"r-{number}" for number in range(3000)]
    outbox.close()


def test_a_disk_that_does_not_answer_holds_nobody_up(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Limits(rows=1000))
    put(outbox, result(0))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # nobody else can write now
    for number in range(1, 100):
        outbox.put(result(number))
    assert not outbox.flush(0.2)
    assert outbox.count() == 100
    assert ids(outbox) == ["r-0"]  # readers are not held up either
    other.execute("ROLLBACK")
    other.close()
    assert outbox.flush()
    assert len(ids(outbox)) == outbox.count() == 100
    outbox.close()


def test_a_full_outbox_gives_up_the_oldest_ok_first_and_ng_last(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=3))
    verdicts: tuple[VerdictName, ...] = ("NG", "OK", "UNDECIDED", "OK", "NG", "NG", "NG")
    kept = []
    for number, verdict in enumerate(verdicts, start=1):
        put(outbox, result(number, verdict))
        kept.append(ids(outbox))
    assert kept == [
        ["r-1"],
        ["r-1", "r-2"],
        ["r-1", "r-2", "r-3"],
        ["r-1", "r-3", "r-4"],
        ["r-1", "r-3", "r-5"],
        ["r-1", "r-5", "r-6"],
        ["r-5", "r-6", "r-7"],
    ]
    assert outbox.count() == 3
    outbox.close()


def test_a_limit_in_bytes_holds_too(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=1000, bytes=20_000))
    put(outbox, *(result(number, "NG" if number < 3 else "OK") for number in range(50)))
    kept = ids(outbox)
    assert kept[:3] == ["r-0", "r-1", "r-2"]
    assert kept[-1] == "r-49"
    assert 5 < len(kept) < 20
    (record,) = told_drops(outbox)
    assert set(record.result_ids) == {f"r-{n}" for n in range(50)} - set(kept)
    assert "0.02 MB" in record.why
    outbox.close()


def test_the_consumer_is_told_exactly_what_was_given_up(tmp_path: Path) -> None:
    panel = Panel()
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=2), Alarms("s", panel))
    for number in range(1, 6):
        put(outbox, result(number, "NG" if number == 2 else "OK"))
    (drop,) = outbox.drops()
    assert (drop.first, drop.last, drop.count) == ("r-1", "r-4", 3)
    assert "results_dropped" in panel.standing
    (record,) = told_drops(outbox)
    assert (record.first, record.last, record.count) == ("r-1", "r-4", 3)
    assert record.result_ids == ("r-1", "r-3", "r-4")
    put(outbox, result(6), result(7))
    assert [r.result_ids for r in told_drops(outbox)] == [("r-1", "r-3", "r-4"), ("r-5", "r-6")]
    delete(outbox, *(row.result_id for row in outbox.pending(0, 100) if row.verdict == DROPPED))
    wait_until(lambda: "results_dropped" not in panel.standing)
    outbox.close()


def test_a_long_outage_is_many_records_of_bounded_size(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=1))
    put(outbox, *(result(number) for number in range(1201)))
    records = told_drops(outbox)
    assert [record.count for record in records] == [500, 500, 200]
    assert [i for record in records for i in record.result_ids] == [f"r-{n}" for n in range(1200)]
    outbox.close()


def test_results_and_epoch_survive_reopening(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    outbox.put(result(1))
    epoch = outbox.epoch
    outbox.close()
    again = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    assert (again.epoch, again.count(), ids(again)) == (epoch, 1, ["r-1"])
    again.close()


def test_what_is_on_the_disk_survives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from edgeflow.contracts.messages import Result, from_json\n"
        "from edgeflow.delivery.outbox import Outbox\n"
        "from edgeflow.delivery.store.records import Limits\n"
        "outbox = Outbox(Path(sys.argv[1]), Limits(rows=10))\n"
        "outbox.put(from_json(Result, Path(sys.argv[2]).read_bytes()))\n"
        "outbox.flush()\n"
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path), str(SAMPLE)], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    outbox = Outbox(path, Limits(rows=10))
    assert ids(outbox) == ["r-1"]
    outbox.close()


def test_many_threads_may_put_at_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=1000))

    def put_some(start: int) -> None:
        for number in range(start, start + 20):
            outbox.put(result(number))

    threads = [threading.Thread(target=put_some, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.flush()
    assert outbox.count() == len(ids(outbox)) == 60
    outbox.close()


def damage(path: Path, keep: int = 4096) -> None:
    """Overwrite all but the first bytes of the database."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(keep)
        file.write(b"\xff" * (size - keep))


@pytest.mark.parametrize("kind", ["not a database", "broken pages"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    if kind == "not a database":
        path.write_bytes(b"no database at all" * 100)
    else:
        outbox = Outbox(path, Limits(rows=1000))
        put(outbox, *(result(number) for number in range(100)))
        outbox.close()
        damage(path)
    with caplog.at_level(logging.WARNING):
        outbox = Outbox(path, Limits(rows=10))
    put(outbox, result(1))
    assert ids(outbox) == ["r-1"]
    (kept,) = tmp_path.glob("outbox.db.damaged-*")
    assert kept.name in caplog.text
    outbox.close()


def test_damage_while_running_costs_what_cannot_be_read_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    panel = Panel()
    outbox = Outbox(path, Limits(rows=10_000), Alarms("s", panel))
    put(outbox, *(result(number) for number in range(400)))
    last = outbox.last_id()
    wait_until(lambda: made_room(outbox))
    damage(path, keep=path.stat().st_size * 3 // 4)
    outbox._check()  # what is done every ten minutes
    wait_until(lambda: "outbox.damaged" in panel.standing)
    put(outbox, result(1000, "NG"))
    saved = ids(outbox)
    assert len(saved) > 100
    assert saved[-1] == "r-1000"
    assert outbox.pending(0, 1)[0].id > last  # whoever sends by number goes on
    assert len(list(tmp_path.glob("outbox.db.damaged-*"))) >= 1
    outbox.close()


def test_an_unwritable_path_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"change outbox\.path"):
        Outbox(tmp_path / "file" / "outbox.db", Limits(rows=10))
    with pytest.raises(StorageError, match=r"cannot be opened.*change outbox\.path"):
        Outbox(tmp_path, Limits(rows=10))


def test_two_boxes_cannot_share_an_outbox(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    with pytest.raises(StorageError, match="another process uses it"):
        Outbox(tmp_path / "outbox.db", Limits(rows=10))
    outbox.close()
    Outbox(tmp_path / "outbox.db", Limits(rows=10)).close()


def test_a_file_of_a_newer_edgeflow_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    Outbox(path, Limits(rows=10)).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="newer edgeflow"):
        Outbox(path, Limits(rows=10))
    assert list(tmp_path.glob("*.damaged-*")) == []


def test_a_file_of_an_older_edgeflow_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    old = sqlite3.connect(path)
    old.executescript(
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
        "CREATE TABLE results (id INTEGER PRIMARY KEY AUTOINCREMENT, result_id TEXT NOT NULL UNIQUE,"
        " verdict TEXT NOT NULL, worth INTEGER NOT NULL, payload BLOB NOT NULL);"
        "CREATE TABLE drops (id INTEGER PRIMARY KEY AUTOINCREMENT, first TEXT NOT NULL, last TEXT NOT NULL,"
        " count INTEGER NOT NULL, why TEXT NOT NULL, at TEXT NOT NULL);"
        "INSERT INTO meta VALUES ('epoch', 'an-epoch');"
        "PRAGMA user_version = 1;"
    )
    old.execute("INSERT INTO results VALUES (7, 'r-7', 'OK', 0, ?)", (to_json(result(7)),))
    old.commit()
    old.close()
    outbox = Outbox(path, Limits(rows=10))
    put(outbox, result(8))
    assert (outbox.epoch, ids(outbox)) == ("an-epoch", ["r-7", "r-8"])
    outbox.close()


def test_on_a_full_disk_old_ok_results_make_room_and_the_record_says_which(tmp_path: Path) -> None:
    panel = Panel()
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10_000), Alarms("s", panel))
    put(outbox, *(result(number, "NG" if number < 10 else "OK") for number in range(2000)))
    pages = outbox._store._writer.execute("PRAGMA page_count").fetchone()[0]
    outbox._store._writer.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite's own full disk
    put(outbox, *(result(number) for number in range(2000, 2100)))
    records = told_drops(outbox)
    kept = [row.result_id for row in outbox.pending(0, 10_000) if row.verdict != DROPPED]
    assert kept[:10] == [f"r-{n}" for n in range(10)]
    assert set(kept) >= {f"r-{n}" for n in range(2000, 2100)}
    dropped = [i for record in records for i in record.result_ids]
    assert sorted(dropped + kept) == sorted(f"r-{n}" for n in range(2100))
    assert dropped
    outbox.close()


def damage_row(path: Path, result_id: str, payload: object) -> None:
    """Change a payload behind the outbox's back: SQLite's own check finds nothing wrong."""
    with sqlite3.connect(path) as other:
        other.execute("UPDATE results SET payload = ? WHERE result_id = ?", (payload, result_id))
    other.close()


BAD_PAYLOADS = {
    "no UTF-8": b'{"schema":"edgef\xff\x00lt',
    "cut off": b'{"schema":"edgeflow/result/1","result_id":"r-2","session":"s"',
    "empty": b"",
    "a number": b"7",
    "text, not bytes": "{}",
    "an integer": 12,
    "without session": b'{"schema":"edgeflow/result/1","result_id":"r-2","seq":1}',
    "without number": b'{"schema":"edgeflow/result/1","result_id":"r-2","session":"s"}',
    "another result": b'{"schema":"edgeflow/result/1","result_id":"r-9","session":"s","seq":1}',
    "nested without end": b"[" * 100_000,
}


@pytest.mark.parametrize("payload", BAD_PAYLOADS.values(), ids=BAD_PAYLOADS.keys())
def test_a_row_that_cannot_be_read_is_set_aside_and_the_others_go_out(
    payload: object, tmp_path: Path
) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Limits(rows=100))
    put(outbox, *(result(number) for number in range(5)))
    outbox.close()
    damage_row(path, "r-2", payload)
    panel = Panel()
    again = Outbox(path, Limits(rows=100), Alarms("s", panel))
    assert [row.result_id for row in again.pending(0, 3)] == ["r-0", "r-1", "r-3"]
    assert again.flush()
    assert ids(again) == ["r-0", "r-1", "r-3", "r-4"]
    assert again.count() == 4
    (found,) = again.aside()
    assert found.result_id == "r-2"
    assert "unreadable" in found.why
    wait_until(lambda: "results_set_aside" in panel.standing)
    assert again.read(found.id) is None
    delete(again, *ids(again))
    assert again.count() == 0
    assert [each.id for each in again.aside()] == [found.id]
    again.close()


def test_a_result_id_that_is_no_text_does_not_hinder_the_others(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Limits(rows=100))
    put(outbox, *(result(number) for number in range(3)))
    with sqlite3.connect(path) as other:
        other.execute("UPDATE results SET result_id = CAST(x'ff80' AS TEXT) WHERE result_id = 'r-1'")
    other.close()
    assert ids(outbox) == ["r-0", "r-2"]
    assert outbox.flush()
    assert len(outbox.aside()) == 1
    outbox.close()


def test_what_the_sender_sets_aside_waits_until_it_is_restored_and_then_goes_last(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    panel = Panel()
    outbox = Outbox(path, Limits(rows=100), Alarms("s", panel))
    put(outbox, *(result(number) for number in range(4)))
    rows = outbox.pending(0, 10)
    outbox.set_aside([rows[1].id, rows[2].id, 4711], "larger than the broker takes")
    assert outbox.flush()
    assert (ids(outbox), outbox.count()) == (["r-0", "r-3"], 2)
    found = outbox.aside()
    assert [(each.id, each.result_id, each.why) for each in found] == [
        (rows[1].id, "r-1", "larger than the broker takes"),
        (rows[2].id, "r-2", "larger than the broker takes"),
    ]
    assert found[0].size == len(rows[1].payload)
    assert found[0].since.endswith("Z")
    wait_until(lambda: "results_set_aside" in panel.standing)
    text = panel.standing["results_set_aside"].text
    assert f"{found[0].size} bytes" in text
    assert "edgeflow outbox restore" in text
    outbox.close()
    again = Outbox(path, Limits(rows=100), Alarms("s", panel))
    assert again.count() == 2
    again.restore([found[0].id, rows[0].id])
    assert again.flush()
    assert ids(again) == ["r-0", "r-3", "r-1"]
    assert again.pending(0, 10)[-1].id > rows[-1].id
    assert [each.result_id for each in again.aside()] == ["r-2"]
    again.restore([found[1].id])
    assert again.flush()
    wait_until(lambda: "results_set_aside" not in panel.standing)
    assert ids(again) == ["r-0", "r-3", "r-1", "r-2"]
    assert {row.payload for row in again.pending(0, 9)} == {row.payload for row in rows}
    again.close()


def test_a_consumer_may_confirm_what_was_set_aside_after_all(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=100))
    put(outbox, result(1))
    outbox.set_aside([outbox.pending(0, 1)[0].id], "why")
    assert outbox.flush()
    delete(outbox, "r-1")
    assert outbox.aside() == []
    outbox.close()


def test_what_is_set_aside_counts_against_the_limits(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=3))
    put(outbox, result(1), result(2, "NG"))
    outbox.set_aside([row.id for row in outbox.pending(0, 9)], "why")
    put(outbox, result(3), result(4), result(5))
    assert [each.result_id for each in outbox.aside()] == ["r-2"]
    assert ids(outbox) == ["r-4", "r-5"]
    outbox.close()


def test_a_result_payload_says_what_it_said(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=10))
    put(outbox, result(1))
    assert json.loads(outbox.pending(0, 1)[0].payload)["result_id"] == "r-1"
    outbox.close()


def test_age_of_the_oldest_result_and_the_number_of_dropped_ones_are_known(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", Limits(rows=2))
    assert outbox.oldest_age_s() is None
    put(outbox, result(1))
    time.sleep(0.05)
    put(outbox, result(2))
    began_s = time.monotonic()
    before_s = outbox.oldest_age_s()
    assert before_s is not None
    assert before_s >= 0.05
    delete(outbox, "r-1")
    after_s = outbox.oldest_age_s()
    assert after_s is not None
    assert after_s + 0.05 <= before_s + (time.monotonic() - began_s), "that of the second result"
    put(outbox, result(3), result(4))
    assert (outbox.dropped, outbox.count()) == (1, 2)
    outbox.set_aside([row.id for row in outbox.pending(0, 1)], "too large")
    assert outbox.flush()
    assert (outbox.tally.aside, outbox.count()) == (1, 1)
    outbox.close()
