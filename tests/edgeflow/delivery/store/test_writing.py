"""A result that cannot be stored is recorded as dropped under its own station; the rest is stored."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edgeflow.contracts.messages import Dropped, Result, from_json
from edgeflow.delivery.store.backlog import PendingWrites
from edgeflow.delivery.store.database import OutboxDatabase
from edgeflow.delivery.store.records import DROPPED, Limits, entry_of
from edgeflow.delivery.store.writing import write_singly

SAMPLE = from_json(Result, (Path(__file__).parents[3] / "samples" / "result.json").read_bytes())
PLENTY = Limits(rows=10_000)


def test_an_unstorable_result_is_told_to_the_consumer_of_its_own_station(tmp_path: Path) -> None:
    store = OutboxDatabase(tmp_path / "outbox.db")
    good = entry_of(SAMPLE, "plant/l1/s1")
    log = PendingWrites(entries=[good, replace(good, result_id="odd-\ud800", root="plant/l1/s2")])
    assert write_singly(store, log, PLENTY) == 0
    log.clear()
    store.close_drop_records(0)
    rows = list(store.pending(0, 100))
    assert [row.result_id for row in rows if row.verdict != DROPPED] == ["r-1"]
    told = [(row.root, from_json(Dropped, row.payload)) for row in rows if row.verdict == DROPPED]
    assert [(root, each.count) for root, each in told] == [("plant/l1/s2", 1)]
    assert told[0][1].result_ids == ("odd-?",)
    assert told[0][1].why == "could not be stored (UnicodeEncodeError)"
    store.close()
