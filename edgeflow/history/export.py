"""Results as a table file: CSV for spreadsheets, JSON lines for programs, Parquet for data tools."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Literal, get_args
from zoneinfo import ZoneInfo

from edgeflow.errors import StorageError, UsageError
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import PartRow

__all__ = [
    "TableFormat",
    "export_results",
    "plain_row",
    "results_as_rows",
    "spreadsheet_safe",
    "table_format",
]

TableFormat = Literal["csv", "jsonl", "parquet"]
Row = Mapping[str, Any]
_AT_ONCE = 2000
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_TEXTS = (
    "result_id", "part_id", "verdict", "reason_code", "worst_view", "decided_at", "local_time", "bundle",
    "bundle_sha256", "graph", "evidence", "kept", "label", "kind", "product",
)  # fmt: skip
_NUMBERS = ("score", "score_raw", "threshold", "total_ms")


def table_format(path: Path, wanted: str | None) -> TableFormat:
    """Return the format that was asked for, else the one that the file's name ends with.

    Raises:
        UsageError: neither says one.
    """
    name = wanted or {".json": "jsonl", ".pq": "parquet"}.get(path.suffix.lower(), path.suffix.lower()[1:])
    for known in get_args(TableFormat):
        if name == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"{path}: give a name that ends with .csv, .jsonl or .parquet, or --format")


def export_results(
    reader: HistoryReader, chosen: ResultFilter, path: Path, form: TableFormat, zone: ZoneInfo
) -> int:
    """Write the chosen results, the latest first, with the scores of all views; return how many.

    Args:
        zone: time zone of the column ``local_time``.

    Raises:
        StorageError: the history cannot be read, or the file cannot be written.
        UsageError: Parquet without pyarrow.
    """
    views = reader.view_names()
    rows = _plain_rows(reader, chosen, views, zone)
    write: Callable[[Path, Iterator[Row], Sequence[str]], int] = {
        "csv": _write_csv,
        "jsonl": _write_jsonl,
        "parquet": _write_parquet,
    }[form]
    return write(path, rows, views)


def results_as_rows(reader: HistoryReader, chosen: ResultFilter, zone: ZoneInfo) -> Iterator[Row]:
    """Yield the chosen results as :func:`plain_row` gives them, the latest first."""
    return _plain_rows(reader, chosen, reader.view_names(), zone)


def _plain_rows(
    reader: HistoryReader, chosen: ResultFilter, views: Sequence[str], zone: ZoneInfo
) -> Iterator[Row]:
    found = reader.each(chosen)
    while portion := list(islice(found, _AT_ONCE)):
        scores = reader.scores(portion[-1].number, portion[0].number)
        for row in portion:
            yield plain_row(row, scores.get(row.number, {}), views, zone)


def plain_row(
    row: PartRow, scores: Mapping[str, float], names: Sequence[str], zone: ZoneInfo
) -> dict[str, Any]:
    """Return one result as plain data, one column each, in order.

    Args:
        scores: view → score.
        names: of all views that get a column.
    """
    return {
        "number": row.number,
        "result_id": row.result_id,
        "part_id": row.part_id,
        "verdict": row.verdict,
        "reason_code": row.reason_code,
        "score": row.score,
        "score_raw": row.score_raw,
        "threshold": row.threshold,
        "exact": row.exact,
        "worst_view": row.worst_view,
        "decided_at": row.decided_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "local_time": f"{row.decided_at.astimezone(zone):%Y-%m-%d %H:%M:%S}",
        "total_ms": row.total_ms,
        "bundle": row.bundle,
        "bundle_version": row.bundle_version,
        "bundle_sha256": row.bundle_sha256,
        "graph": row.graph,
        "evidence": row.evidence,
        "kept": row.kept,
        "label": row.label,
        "kind": row.kind,
        "disputed": row.disputed,
        "product": row.product,
        **{f"score_{name}": scores.get(name) for name in names},
    }


def spreadsheet_safe(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula: such a text gets an apostrophe before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _write_csv(path: Path, rows: Iterator[Row], views: Sequence[str]) -> int:  # noqa: ARG001 - one signature
    count = 0
    with _opened(path) as file:
        writer = csv.writer(file)
        for row in rows:
            if not count:
                writer.writerow(row)
            writer.writerow([spreadsheet_safe(value) for value in row.values()])
            count += 1
    return count


def _write_jsonl(path: Path, rows: Iterator[Row], views: Sequence[str]) -> int:  # noqa: ARG001 - one signature
    count = 0
    with _opened(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(path: Path, rows: Iterator[Row], views: Sequence[str]) -> int:
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        from pyarrow import parquet  # noqa: PLC0415 - an extra
    except ImportError as cause:
        raise UsageError(
            "Parquet needs pyarrow; run: pip install 'edgeflow[parquet]', or write .csv"
        ) from cause
    numbers = {*_NUMBERS, *(f"score_{view}" for view in views)}
    names = list(plain_columns(views))
    kinds = {name: pa.string() for name in _TEXTS} | {name: pa.float64() for name in numbers}
    kinds |= {"number": pa.int64(), "bundle_version": pa.int64(), "exact": pa.bool_(), "disputed": pa.bool_()}
    schema = pa.schema([(name, kinds[name]) for name in names])
    count = 0
    with _errors(path), parquet.ParquetWriter(path, schema) as writer:
        while portion := list(islice(rows, _AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(portion, schema))
            count += len(portion)
    return count


def plain_columns(views: Sequence[str]) -> tuple[str, ...]:
    """Names of the columns of :func:`plain_row`, in order."""
    return (
        "number", "result_id", "part_id", "verdict", "reason_code", "score", "score_raw", "threshold",
        "exact", "worst_view", "decided_at", "local_time", "total_ms", "bundle", "bundle_version",
        "bundle_sha256", "graph", "evidence", "kept", "label", "kind", "disputed", "product",
        *(f"score_{view}" for view in views),
    )  # fmt: skip


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    # With a mark of its encoding, without which spreadsheets read umlauts wrongly; JSON has none.
    encoding = "utf-8" if path.suffix.lower().startswith(".json") else "utf-8-sig"
    with _errors(path), path.open("w", encoding=encoding, newline="", errors="replace") as file:
        yield file


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as cause:
        raise StorageError(
            f"{path}: cannot be written: {cause.strerror}; make room, or give another place"
        ) from cause
