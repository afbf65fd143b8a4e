"""Results as files: the same rows in every format, and no part id that a spreadsheet would execute."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from edgeflow.errors import StorageError, UsageError
from edgeflow.history.database.store import HistoryStore
from edgeflow.history.export import TableFormat, export_results, spreadsheet_safe, table_format
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import HistoryEntry
from edgeflow.run_time import read_boot
from simulators.results import simulated_result

BERLIN = ZoneInfo("Europe/Berlin")
NAMES = ["=cmd|' /C calc'!A0", "+1+1", "-2", "@SUM(A1)", "\t=1", "Gehäuse 4", 'a,b"c\nd', "../../etc/passwd"]


@pytest.fixture
def reader(tmp_path: Path) -> HistoryReader:
    boot = read_boot()
    store = HistoryStore(tmp_path / "history.db", boot)
    at = datetime(2026, 7, 1, 12, tzinfo=UTC)
    results = [
        simulated_result(n, at, {"C1": 0.5, "C2": 0.25}).model_copy(update={"part_id": name})
        for n, name in enumerate(NAMES)
    ]
    store.write([HistoryEntry(result=r, bundle_version=1, has_foreground=False) for r in results], [], boot)
    store.close()
    return HistoryReader(tmp_path / "history.db")


def export(reader: HistoryReader, path: Path, form: TableFormat) -> int:
    return export_results(reader, ResultFilter(), path, form, BERLIN)


def test_csv_has_every_part_and_no_formula(reader: HistoryReader, tmp_path: Path) -> None:
    assert export(reader, tmp_path / "r.csv", "csv") == len(NAMES)
    with (tmp_path / "r.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    found = [row["part_id"] for row in rows][::-1]
    assert [cell.removeprefix("'") for cell in found] == NAMES
    assert not any(cell.startswith(("=", "+", "-", "@", "\t")) for row in rows for cell in row.values())
    assert rows[0]["local_time"] == "2026-07-01 14:00:00"
    assert (rows[0]["score_C1"], rows[0]["score_C2"]) == ("0.5", "0.25")


def test_json_lines_and_parquet_hold_part_ids_as_they_are(reader: HistoryReader, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    export(reader, tmp_path / "r.jsonl", "jsonl")
    export(reader, tmp_path / "r.parquet", "parquet")
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text("utf-8").splitlines()]
    assert [line["part_id"] for line in lines][::-1] == NAMES
    assert parquet.read_table(tmp_path / "r.parquet").to_pylist() == lines


def test_numbers_stay_numbers() -> None:
    assert spreadsheet_safe(-0.5) == -0.5
    assert spreadsheet_safe("-0.5") == "'-0.5"


def test_the_format_comes_from_the_name_or_the_option(reader: HistoryReader, tmp_path: Path) -> None:
    assert table_format(Path("a.CSV"), None) == "csv"
    assert table_format(Path("a.txt"), "jsonl") == "jsonl"
    with pytest.raises(UsageError, match=r"ends with \.csv, \.jsonl or \.parquet"):
        table_format(Path("a.txt"), None)
    with pytest.raises(StorageError, match="cannot be written"):
        export(reader, tmp_path / "no" / "folder.csv", "csv")
