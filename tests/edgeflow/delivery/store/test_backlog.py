"""Pending writes keep their order and kind, and drop the least important where memory is short."""

from __future__ import annotations

import threading

import pytest

from edgeflow.delivery.store.backlog import PendingWrites, Restored, SetAside
from edgeflow.delivery.store.drops import DroppedRow
from edgeflow.delivery.store.records import ROW_OVERHEAD, Entry


def entry(result_id: str, priority: int = 0, size: int = 100) -> Entry:
    return Entry(
        result_id=result_id, verdict="OK", priority=priority, payload=b"x" * (size - ROW_OVERHEAD), root="a/b"
    )


def filled() -> PendingWrites:
    log = PendingWrites()
    for item in (
        entry("r-1", size=400),
        entry("r-2", size=400),
        DroppedRow(result_id="r-5", why="full"),
        SetAside(row_ids=(6, 7), why="large"),
        Restored(row_ids=(8, 9)),
        None,
    ):
        log.add(item)
    log.gone += ["r-3", "r-4"]
    return log


def test_each_request_is_kept_with_its_kind() -> None:
    log = filled()
    mark = threading.Event()
    log.add(mark)
    assert [each.result_id for each in log.entries] == ["r-1", "r-2"]
    assert log.gone == ["r-3", "r-4"]
    assert [each.result_id for each in log.dropped] == ["r-5"]
    assert log.aside == [((6, 7), "large")]
    assert log.restored == [8, 9]
    assert log.marks == [mark]
    log.clear()
    assert (log.entries, log.gone, log.dropped, log.aside, log.restored) == ([], [], [], [], [])
    assert log.marks == [mark], "callers wait until it is really written"


@pytest.mark.parametrize(
    ("item", "to_write"),
    [
        (entry("r-1", size=400), True),
        (DroppedRow(result_id="r", why="full"), True),
        (SetAside(row_ids=(1,), why="large"), True),
        (Restored(row_ids=(1,)), True),
        (None, False),
        (threading.Event(), False),
    ],
)
def test_a_wake_up_alone_is_nothing_to_write(item: object, to_write: bool) -> None:
    log = PendingWrites()
    log.add(item)  # type: ignore[arg-type]
    assert bool(log) is to_write
    log.gone.append("r-9")
    assert log


def test_each_piece_is_one_request_and_can_be_removed() -> None:
    log = filled()
    pieces = log.pieces()
    assert [(len(p.entries), len(p.gone), len(p.aside), len(p.restored), len(p.dropped)) for p in pieces] == [
        (1, 0, 0, 0, 0)
    ] * 2 + [(0, 1, 0, 0, 0)] * 2 + [(0, 0, 1, 0, 0)] + [(0, 0, 0, 1, 0)] * 2
    for each in (pieces[0], pieces[3], pieces[4], pieces[5]):
        log.remove(each)
    assert [each.result_id for each in log.entries] == ["r-2"]
    assert (log.gone, log.aside, log.restored) == (["r-3"], [], [9])
    assert [each.result_id for each in log.dropped] == ["r-5"]


def test_memory_is_bounded_by_dropping_the_least_important_and_oldest_first() -> None:
    log = PendingWrites()
    for result_id, priority in (("ng", 2), ("ok-1", 0), ("odd", 1), ("ok-2", 0)):
        log.add(entry(result_id, priority, size=500))
    assert log.shrink("slow disk", limit=2000) == 0
    assert len(log.entries) == 4
    assert log.shrink("slow disk", limit=1999) == 1
    assert [each.result_id for each in log.entries] == ["ng", "odd", "ok-2"]
    assert log.shrink("slow disk", limit=500) == 2
    assert [each.result_id for each in log.entries] == ["ng"]
    assert log.dropped == [
        DroppedRow(result_id=result_id, why="slow disk", root="a/b") for result_id in ("ok-1", "ok-2", "odd")
    ]
    assert PendingWrites(entries=[entry("r", size=32_000_000)]).shrink("slow") == 0
    assert PendingWrites(entries=[entry("r", size=32_000_001)]).shrink("slow") == 1
