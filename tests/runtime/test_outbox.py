"""The outbox keeps what it was given, drops by rule only, and outlives crashes and damage."""

from __future__ import annotations

import logging
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edgeflow.contracts.messages import Result, VerdictName, from_json
from edgeflow.errors import StorageError
from edgeflow.outbox import Outbox

SAMPLE = Path(__file__).parents[1] / "samples" / "result.json"


def result(number: int, verdict: VerdictName = "OK") -> Result:
    sample = from_json(Result, SAMPLE.read_bytes())
    return sample.model_copy(update={"result_id": f"r-{number}", "verdict": verdict, "seq": number})


def ids(outbox: Outbox) -> list[str]:
    return [row.result_id for row in outbox.pending(0, 1000)]


def test_results_come_back_in_order_and_whole(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "new" / "outbox.db", 10)
    for number in (1, 2, 3):
        outbox.put(result(number))
    rows = outbox.pending(0, 2)
    assert [row.result_id for row in rows] == ["r-1", "r-2"]
    assert from_json(Result, rows[0].payload) == result(1)
    assert [row.result_id for row in outbox.pending(rows[-1].id, 10)] == ["r-3"]
    assert outbox.read(rows[1].id) == rows[1]
    outbox.close()


def test_delivered_results_go_and_their_ids_are_never_used_again(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 10)
    outbox.put(result(1))
    first = outbox.pending(0, 1)[0]
    assert outbox.delete(["r-1", "r-1", "unknown"]) == 1
    assert outbox.count() == 0
    assert outbox.read(first.id) is None
    outbox.put(result(2))
    assert outbox.pending(0, 1)[0].id > first.id
    assert outbox.last_id() == outbox.pending(0, 1)[0].id
    outbox.close()


def test_the_same_result_is_stored_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 10)
    outbox.put(result(1))
    outbox.put(result(1))
    assert outbox.count() == 1
    outbox.close()


def test_more_ids_than_sqlite_takes_in_one_statement_are_deleted(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 10)
    outbox.put(result(1))
    assert outbox.delete([f"other-{n}" for n in range(1200)] + ["r-1"]) == 1
    outbox.close()


def test_a_full_outbox_gives_up_the_oldest_ok_first_and_ng_last(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 3)
    verdicts: tuple[VerdictName, ...] = ("NG", "OK", "UNDECIDED", "OK", "NG", "NG", "NG")
    kept = []
    for number, verdict in enumerate(verdicts, start=1):
        outbox.put(result(number, verdict))
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


def test_what_was_given_up_is_on_record(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 2)
    for number in range(1, 6):
        outbox.put(result(number))
    (drop,) = outbox.drops()
    assert (drop.first, drop.last, drop.count) == ("r-1", "r-3", 3)
    assert "2 results" in drop.why
    assert "OK" in drop.why
    assert sum("given up" in record.message for record in caplog.records) == 1
    outbox.close()


def test_results_and_epoch_survive_reopening(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 10)
    outbox.put(result(1))
    epoch = outbox.epoch
    outbox.close()
    again = Outbox(tmp_path / "outbox.db", 10)
    assert (again.epoch, again.count(), ids(again)) == (epoch, 1, ["r-1"])
    again.close()


def test_what_was_put_survives_a_killed_process(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from edgeflow.contracts.messages import Result, from_json\n"
        "from edgeflow.outbox import Outbox\n"
        "outbox = Outbox(Path(sys.argv[1]), 10)\n"
        "outbox.put(from_json(Result, Path(sys.argv[2]).read_bytes()))\n"
        f"os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(path), str(SAMPLE)], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    outbox = Outbox(path, 10)
    assert ids(outbox) == ["r-1"]
    outbox.close()


def test_many_threads_may_put_at_once(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 1000)

    def put_some(start: int) -> None:
        for number in range(start, start + 20):
            outbox.put(result(number))

    threads = [threading.Thread(target=put_some, args=(start,)) for start in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.count() == len(ids(outbox)) == 60
    outbox.close()


@pytest.mark.parametrize("damage", ["not a database", "broken pages"])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "outbox.db"
    if damage == "not a database":
        path.write_bytes(b"no database at all" * 100)
    else:
        outbox = Outbox(path, 1000)
        for number in range(100):
            outbox.put(result(number))
        outbox.close()
        data = bytearray(path.read_bytes())
        data[4096:] = b"\xff" * (len(data) - 4096)
        path.write_bytes(data)
    with caplog.at_level(logging.WARNING):
        outbox = Outbox(path, 10)
    outbox.put(result(1))
    assert ids(outbox) == ["r-1"]
    (kept,) = tmp_path.glob("outbox.db.damaged-*")
    assert kept.name in caplog.text
    outbox.close()


def test_an_unwritable_path_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match=r"change outbox\.path"):
        Outbox(tmp_path / "file" / "outbox.db", 10)
    with pytest.raises(StorageError, match=r"cannot be opened.*change outbox\.path"):
        Outbox(tmp_path, 10)


def test_a_file_of_a_newer_edgeflow_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    Outbox(path, 10).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="newer edgeflow"):
        Outbox(path, 10)
    assert list(tmp_path.glob("*.damaged-*")) == []


def test_a_full_disk_is_an_error_that_keeps_what_was_stored(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "outbox.db", 1000)
    outbox.put(result(1))
    pages = outbox._connection.execute("PRAGMA page_count").fetchone()[0]
    outbox._connection.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite's own full disk

    def fill() -> None:
        for number in range(2, 1000):
            outbox.put(result(number))

    with pytest.raises(StorageError, match="full"):
        fill()
    stored = ids(outbox)
    assert len(stored) == outbox.count() >= 1
    assert outbox.delete(stored[:1]) == 1
    outbox.close()
