"""An outbox without its box is counted, exported and restored, and a missing one is empty."""

from __future__ import annotations

import json
import time
from pathlib import Path

from edgeflow.contracts.messages import Result, VerdictName, from_json
from edgeflow.delivery.offline import (
    read_set_aside,
    restore_results,
    stored_payloads,
    summarise,
    wait_until_empty,
)
from edgeflow.delivery.outbox import Outbox
from edgeflow.delivery.store.records import Limits

SAMPLE = Path(__file__).parents[2] / "samples" / "result.json"


def fill(path: Path, *verdicts: VerdictName, aside: tuple[int, ...] = ()) -> None:
    """Store results ``r-1``, ``r-2``, … with these verdicts, and set rows aside."""
    outbox = Outbox(path, Limits(rows=100))
    sample = from_json(Result, SAMPLE.read_bytes())
    for number, verdict in enumerate(verdicts, 1):
        outbox.put(sample.model_copy(update={"result_id": f"r-{number}", "verdict": verdict, "seq": number}))
    assert outbox.flush()
    outbox.set_aside(aside, "too large")
    assert outbox.flush()
    outbox.close()


def exported(path: Path, *, aside: bool = False) -> list[str]:
    return [json.loads(payload)["result_id"] for payload in stored_payloads(path, aside=aside)]


def test_a_missing_outbox_is_empty_and_is_not_made(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    found = summarise(path)
    assert (found["waiting"], found["aside"], found["oldest_age_s"]) == ({}, 0, None)
    assert exported(path) == []
    assert read_set_aside(path) == []
    assert restore_results(path, None) == 0
    assert wait_until_empty(path, 5.0) == 0
    assert list(tmp_path.iterdir()) == []


def test_waiting_results_are_counted_by_verdict_and_exported_in_order(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    fill(path, "OK", "NG", "OK", aside=(2,))
    found = summarise(path)
    assert found["waiting"] == {"OK": 2}
    assert found["aside"] == 1
    assert found["mb"] > 0
    assert 0 <= found["oldest_age_s"] < 600
    assert exported(path) == ["r-1", "r-3"]
    assert exported(path, aside=True) == ["r-2"]


def test_a_file_that_was_damaged_is_named(tmp_path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"outbox.db.damaged-1{suffix}").touch()
    assert summarise(tmp_path / "outbox.db")["damaged"] == ["outbox.db.damaged-1"]


def test_rows_that_were_set_aside_are_restored_by_id_or_all(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    fill(path, "OK", "OK", "OK", aside=(1, 2))
    assert [(each.id, each.result_id, each.why) for each in read_set_aside(path)] == [
        (1, "r-1", "too large"),
        (2, "r-2", "too large"),
    ]
    assert restore_results(path, (1, 99)) == 1
    assert exported(path) == ["r-3", "r-1"]
    assert restore_results(path, None) == 1
    assert exported(path) == ["r-3", "r-1", "r-2"]
    assert read_set_aside(path) == []


def test_the_wait_for_an_empty_outbox_ends_in_time_with_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    fill(path, "OK", "NG")
    begun_s = time.monotonic()
    assert wait_until_empty(path, 0.3) == 2
    assert 0.3 <= time.monotonic() - begun_s < 5
