"""A damaged or removed outbox costs what cannot be read, whatever step of its repair fails."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edgeflow.alarms import Alarms
from edgeflow.contracts.messages import Alarm, Result, from_json
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.database import OutboxDatabase
from edgeflow.delivery.store.records import DROPPED, Limits, entry_of
from edgeflow.delivery.store.repair import repair
from tests.support.outboxes import made_room
from tests.support.waiting import wait_until

SAMPLE = from_json(Result, (Path(__file__).parents[3] / "samples" / "result.json").read_bytes())
PLENTY = Limits(rows=10_000)


class Panel:
    """Collects the alarms that stand."""

    def __init__(self) -> None:
        self.standing: dict[str, Alarm] = {}

    def publish_alarm(self, name: str, alarm: Alarm | None) -> None:
        if alarm:
            self.standing[name] = alarm
        else:
            self.standing.pop(name, None)


def result(number: int) -> Result:
    return SAMPLE.model_copy(update={"result_id": f"r-{number:04d}", "seq": number, "verdict": "NG"})


def ids(outbox: Outbox) -> list[str]:
    return [row.result_id for row in outbox.pending(0, 10_000) if row.verdict != DROPPED]


def filled(path: Path, count: int = 400) -> Outbox:
    outbox = Outbox(path, PLENTY)
    for number in range(count):
        outbox.put(result(number))
    assert outbox.flush()
    return outbox


def damage_end(path: Path) -> None:
    """Overwrite the last quarter of a database."""
    with path.open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(3 * size // 4)
        file.write(b"\xff" * (size - 3 * size // 4))


def test_damage_that_is_found_at_start_costs_only_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = filled(path)
    last_id = outbox.last_id()
    outbox.close()
    damage_end(path)
    panel = Panel()
    again = Outbox(path, PLENTY, Alarms("s", panel))
    saved = ids(again)
    assert 200 < len(saved) <= 400
    assert again.count() == len(saved)
    assert "outbox.damaged" in panel.standing
    again.put(result(1000))
    assert again.flush()
    assert again.pending(0, 10_000)[-1].result_id == "r-1000"
    assert again.last_id() > last_id
    again.close()


def test_what_was_set_aside_and_what_was_given_up_survives_a_repair(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    outbox = Outbox(path, Limits(rows=10), root="edgeflow/v1/a/b/c")
    for number in range(13):
        outbox.put(result(number))
    assert outbox.flush()
    outbox.set_aside([outbox.pending(0, 1)[0].id], "too large")
    assert outbox.flush()
    outbox.close()
    repaired = repair(path, sqlite3.DatabaseError("for the test"))
    assert repaired.saved == 10
    again = Outbox(path, Limits(rows=10))
    assert [(each.result_id, each.why) for each in again.aside()] == [("r-0003", "too large")]
    assert ids(again) == [f"r-{n:04d}" for n in range(4, 13)]
    assert {row.root for row in again.pending(0, 99)} == {"edgeflow/v1/a/b/c"}
    (drop,) = again.drops()
    assert (drop.first, drop.last, drop.count) == ("r-0000", "r-0002", 3)
    again.close()


def test_a_step_of_the_repair_that_fails_is_done_again_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    panel = Panel()
    outbox = Outbox(path, PLENTY, Alarms("s", panel))
    for number in range(400):
        outbox.put(result(number))
    assert outbox.flush()
    wait_until(lambda: made_room(outbox))
    damage_end(path)
    obstacle = tmp_path / "outbox.db.rebuilt"
    obstacle.mkdir()
    outbox._check()  # what is done every ten minutes
    wait_until(lambda: "outbox" in panel.standing)
    for number in range(1000, 1010):
        outbox.put(result(number))
    assert not outbox.flush(0.3)
    assert outbox.count() >= 10
    obstacle.rmdir()
    assert outbox.flush(30)
    saved = ids(outbox)
    assert len(saved) > 200
    assert saved[-10:] == [f"r-{n:04d}" for n in range(1000, 1010)]
    assert "outbox.damaged" in panel.standing
    wait_until(lambda: "outbox" not in panel.standing)
    outbox.close()


@pytest.mark.parametrize("step", ["new file unfinished", "old file set aside"])
def test_a_repair_that_was_killed_is_completed_or_begun_anew(tmp_path: Path, step: str) -> None:
    path = tmp_path / "outbox.db"
    filled(path, 20).close()
    fresh = tmp_path / "outbox.db.rebuilt"
    if step == "new file unfinished":
        half = OutboxDatabase(fresh)
        half.write([entry_of(result(0))], [], [], PLENTY, 0)
        half.close()
    else:
        path.rename(fresh)
    again = Outbox(path, PLENTY)
    assert ids(again) == [f"r-{n:04d}" for n in range(20)]
    assert list(tmp_path.glob("*.rebuilt*")) == []
    again.close()


def test_a_row_with_odd_values_does_not_end_the_repair(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    filled(path, 5).close()
    with sqlite3.connect(path) as other:
        other.execute("UPDATE results SET worth = 'many' WHERE result_id = 'r-0001'")
        other.execute("UPDATE results SET payload = 7 WHERE result_id = 'r-0002'")
        other.execute("UPDATE results SET result_id = x'ff00' WHERE result_id = 'r-0003'")
    other.close()
    assert repair(path, sqlite3.DatabaseError("for the test")).saved == 3
    again = Outbox(path, PLENTY)
    assert ids(again) == ["r-0000", "r-0001", "r-0004"]
    again.close()


def test_a_file_that_somebody_removes_is_written_anew_with_all_that_it_held(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    panel = Panel()
    outbox = Outbox(path, PLENTY, Alarms("s", panel))
    for number in range(50):
        outbox.put(result(number))
    assert outbox.flush()
    epoch, last_id = outbox.epoch, outbox.last_id()
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"outbox.db{suffix}").unlink()
    wait_until(lambda: "outbox.removed" in panel.standing)
    outbox.put(result(50))
    assert outbox.flush()
    outbox.close()
    again = Outbox(path, PLENTY)
    assert ids(again) == [f"r-{n:04d}" for n in range(51)]
    assert (again.epoch, again.last_id()) == (epoch, last_id + 1)
    again.close()


def test_an_item_that_cannot_be_stored_costs_itself_and_neither_the_others_nor_the_writer(
    tmp_path: Path,
) -> None:
    outbox = filled(tmp_path / "outbox.db", 3)
    other = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # so that they come together
    outbox.put(result(10))
    outbox.put(SAMPLE.model_copy(update={"result_id": "odd\ud800", "seq": 11}))
    outbox.set_aside([2**70], "no such row")
    outbox.restore([2**70])
    outbox.delete(["r-0000", "odd\ud800"])
    outbox.set_aside([outbox.pending(0, 9)[1].id], "why")
    outbox.put(result(12))
    other.execute("ROLLBACK")
    other.close()
    assert outbox.flush()
    assert ids(outbox) == ["r-0002", "r-0010", "r-0012"]
    assert [each.result_id for each in outbox.aside()] == ["r-0001"]
    assert outbox.count() == 3
    (drop,) = outbox.drops()
    assert (drop.first, drop.count) == ("odd?", 1)
    assert "could not be stored" in drop.why
    outbox.close()


def test_a_listener_that_fails_stops_nobody(tmp_path: Path) -> None:
    outbox = filled(tmp_path / "outbox.db", 1)
    heard: list[str] = []

    def fail(_: object) -> None:
        raise ZeroDivisionError

    outbox.on_stored(fail)
    outbox.on_stored(heard.extend)
    outbox.put(result(1))
    assert outbox.flush()
    assert heard == ["r-0001"]
    assert ids(outbox) == ["r-0000", "r-0001"]
    outbox.close()
