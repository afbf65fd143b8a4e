"""Every filter finds exactly its results, and a part is found with all that is known of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edgeflow.contracts.datasets.part_label import PartLabel
from edgeflow.errors import DataError, StorageError
from edgeflow.history.database.store import HistoryStore, Retention
from edgeflow.history.filters import ResultFilter
from edgeflow.history.labels import add_label, find_part
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import Gap, HistoryEntry
from edgeflow.history.shifts import ShiftPlan
from edgeflow.history.statistics import statistics_of
from edgeflow.run_time import Boot
from simulators.results import simulated_result

BEGIN = datetime(2026, 11, 28, 12, tzinfo=UTC)
BOOT = Boot(id="b", up_s=100.0)
PLAN = ShiftPlan(zone=ZoneInfo("UTC"), starts={"early": "06:00", "late": "14:00", "night": "22:00"})
EVERYTHING = ResultFilter()


def label(result_id: str, name: str = "OK", by: str = "ann", kind: str | None = None) -> PartLabel:
    return PartLabel(
        result_id=result_id,
        part_id="",
        label=name,  # type: ignore[arg-type]
        kind=kind,
        by=by,
        source="cli",
        at="2026-11-28T00:00:00.0Z",
    )


def entries() -> list[HistoryEntry]:
    """Twelve parts an hour apart from 12:00: every third is NG in C2, the last one misses C1."""
    found = []
    for number in range(12):
        raw = {"C1": 0.5, "C2": 2.5 if number % 3 == 0 else 0.25}
        result = simulated_result(number, BEGIN + timedelta(hours=number), {} if number == 11 else raw)
        result = result.model_copy(update={"evidence": f"/kept/{number}"} if number % 3 == 0 else {})
        found.append(
            HistoryEntry(result=result, bundle_version=7, has_foreground=False, alarms=("late_decisions",))
        )
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    target = tmp_path / "history.db"
    store = HistoryStore(target, BOOT)
    gap = Gap(first="a", last="c", count=3, why="slow", at=BEGIN)
    store.write(entries(), [gap], BOOT)
    store.close()
    return target


@pytest.fixture
def reader(path: Path) -> Iterator[HistoryReader]:
    with HistoryReader(path) as found:
        yield found


def numbers(reader: HistoryReader, chosen: ResultFilter) -> list[int]:
    found = [int(row.part_id[2:]) for row in reader.rows(chosen)]
    assert reader.count(chosen) == len(found)
    return found


@pytest.mark.parametrize(
    ("chosen", "found"),
    [
        (EVERYTHING, list(range(11, -1, -1))),
        (ResultFilter(since=BEGIN + timedelta(hours=10)), [11, 10]),
        (ResultFilter(until=BEGIN + timedelta(hours=2)), [1, 0]),
        (ResultFilter(verdicts=("NG",)), [9, 6, 3, 0]),
        (ResultFilter(verdicts=("NG", "UNDECIDED")), [11, 9, 6, 3, 0]),
        (ResultFilter(part="P-4"), [4]),
        (ResultFilter(part="session-000004"), [4]),
        (ResultFilter(part="P-1*"), [11, 10, 1]),
        (ResultFilter(part="P-[1]*"), []),
        (ResultFilter(part="' OR 1=1 --"), []),
        (ResultFilter(view="C2"), [9, 6, 3, 0]),
        (ResultFilter(view="C1", verdicts=("UNDECIDED",)), [11]),
        (ResultFilter(product="bracket", reason_code="missing_views"), [11]),
        (ResultFilter(product="other"), []),
        (ResultFilter(bundle_sha256="ab" * 32, graph="openvino-fp32", part="P-2"), [2]),
        (ResultFilter(labelled="yes"), []),
        (ResultFilter(labelled="no", verdicts=("NG",)), [9, 6, 3, 0]),
    ],
)
def test_a_filter_finds_exactly_its_results(
    reader: HistoryReader, chosen: ResultFilter, found: list[int]
) -> None:
    assert numbers(reader, chosen) == found


def test_a_shift_is_a_filter_with_all_others(reader: HistoryReader) -> None:
    first, last = reader.span() or (BEGIN, BEGIN)
    shifts = PLAN.between(first, last)
    night = [shift for shift in shifts if shift.name == "night"]
    assert numbers(reader, ResultFilter(shifts=night)) == [11, 10]
    assert numbers(reader, ResultFilter(shifts=shifts, verdicts=("NG",), view="C2")) == [9, 6, 3, 0]
    assert numbers(reader, ResultFilter(shifts=[])) == []
    assert [p.number for p in reader.trend("C2", ResultFilter(shifts=night))] == [11]


def test_pages_go_on_where_the_last_one_ended(reader: HistoryReader) -> None:
    first = reader.rows(count=5)
    second = reader.rows(count=5, before=first[-1].number)
    assert [row.part_id for row in (*first, *second)] == [f"P-{number}" for number in range(11, 1, -1)]
    assert reader.newest() == first[0].number


def test_one_part_has_scores_thresholds_times_and_alarms(reader: HistoryReader) -> None:
    found = reader.part("P-3")
    assert found is not None
    assert (found.row.verdict, found.row.worst_view, found.row.score, found.row.bundle_version) == (
        "NG",
        "C2",
        1.5,
        7,
    )
    assert [(v.view, v.score, v.threshold, v.exact) for v in found.views] == [
        ("C1", 0.5, 1.0, True),
        ("C2", 2.5, 1.0, True),
    ]
    assert found.durations_ms == {"acquire": 3.0, "score": 25.0, "total": 33.0}
    assert (found.alarms, found.row.evidence) == (("late_decisions",), "/kept/3")
    assert reader.part("P-99") is None


def test_statistics_count_shifts_reasons_views_and_what_is_missing(reader: HistoryReader) -> None:
    first, last = reader.span() or (BEGIN, BEGIN)
    found = statistics_of(reader, EVERYTHING, PLAN.between(first, last))
    assert found.counts == {"OK": 7, "NG": 4, "UNDECIDED": 1}
    assert [(line.shift.name, line.parts, line.counts["NG"]) for line in found.shifts] == [
        ("early", 2, 1),
        ("late", 8, 3),
        ("night", 2, 0),
    ]
    assert [(line.name, line.count) for line in found.reasons] == [("defect", 4), ("missing_views", 1)]
    assert found.reasons[-1].cumulated == 1.0
    assert [(line.name, line.count) for line in found.views] == [("C2", 4)]
    assert [(gap.first, gap.last, gap.count) for gap in found.gaps] == [("a", "c", 3)]


def test_the_last_label_counts_all_are_kept_and_two_people_who_disagree_are_seen(path: Path) -> None:
    add_label(path, label("session-000003", "NG", "ann", "scratch"))
    add_label(path, label("session-000003", "OK", "bob"))
    add_label(path, label("session-000006", "NG", "ann"))
    add_label(path, label("session-000006", "OK", "ann"))
    with HistoryReader(path) as reader:
        part = reader.part("P-3")
        assert part is not None
        assert [(each.label, each.by, each.kind) for each in part.labels] == [
            ("NG", "ann", "scratch"),
            ("OK", "bob", None),
        ]
        assert (part.row.label, part.row.kind, part.row.disputed) == ("OK", None, True)
        assert numbers(reader, ResultFilter(labelled="yes")) == [6, 3]
        assert numbers(reader, ResultFilter(labelled="OK")) == [6, 3]
        assert numbers(reader, ResultFilter(labelled="disputed")) == [3], (
            "ann changed her mind about the other"
        )
        assert statistics_of(reader, EVERYTHING, []).labels == {("NG", "OK"): 2}


def test_a_label_for_an_unknown_part_is_refused(path: Path) -> None:
    assert find_part(path, "P-99") is None
    with pytest.raises(DataError, match="knows no result nothing"):
        add_label(path, label("nothing"))
    found = find_part(path, "P-3")
    assert found is not None
    assert (found.result_id, found.evidence, found.results) == ("session-000003", Path("/kept/3"), 1)


def test_retention_by_days_and_bytes_never_takes_a_labelled_result(path: Path) -> None:
    add_label(path, label("session-000000", "NG"))
    store = HistoryStore(path, BOOT)
    later = replace(BOOT, up_s=BOOT.up_s + 10 * 86_400)
    assert store.retain(Retention(days=11, bytes=2**40), later) == 0
    assert store.retain(Retention(days=9, bytes=2**40), later) == 11
    store.write([entries()[5]], [], later)
    assert store.retain(Retention(days=9, bytes=1), later) == 1
    store.close()
    with HistoryReader(path) as reader:
        assert [row.part_id for row in reader.rows()] == ["P-0"]
        assert reader.views(1) != ()
        assert reader.views(2) == ()


def test_a_wall_clock_that_steps_back_changes_neither_order_nor_age(path: Path) -> None:
    store = HistoryStore(path, BOOT)
    early = simulated_result(50, datetime(1970, 1, 1, tzinfo=UTC), {"C1": 0.1})
    store.write([HistoryEntry(result=early, bundle_version=7, has_foreground=False)], [], BOOT)
    assert store.retain(Retention(days=1, bytes=2**40), BOOT) == 0
    store.close()
    with HistoryReader(path) as reader:
        assert reader.rows(count=1)[0].part_id == "P-50"


def test_a_newer_or_missing_database_is_refused_in_words(path: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="there is none yet"):
        HistoryReader(tmp_path / "nothing.db")
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StorageError, match="written by a newer edgeflow"):
        HistoryReader(path)
    with pytest.raises(StorageError, match="written by a newer edgeflow"):
        HistoryStore(path, BOOT)
    (tmp_path / "noise.db").write_bytes(b"SQLite format 3\0" + b"noise" * 1000)
    with pytest.raises(StorageError, match="is damaged"):
        HistoryReader(tmp_path / "noise.db")


def test_results_are_found_by_their_product_and_by_the_name_of_their_bundle(tmp_path: Path) -> None:
    path = tmp_path / "products.db"
    store = HistoryStore(path, BOOT)
    given = [
        replace(entry, result=entry.result.model_copy(update={"product": product}))
        for entry, product in zip(entries(), ("A", "B", None) * 4, strict=True)
    ]
    store.write(given, [], BOOT)
    store.close()
    with HistoryReader(path) as reader:
        assert numbers(reader, ResultFilter(product="A")) == [9, 6, 3, 0]
        assert {row.product for row in reader.rows(ResultFilter(product="B"))} == {"B"}
        name = given[0].result.bundle.name
        assert len(numbers(reader, ResultFilter(product=name))) == 12
        assert numbers(reader, ResultFilter(product="a")) == []
