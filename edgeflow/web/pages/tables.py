"""The chosen results as a table file: CSV by the history, XLSX by XlsxWriter; formulas stay text."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import xlsxwriter

from edgeflow.history.export import export_results, results_as_rows
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader

__all__ = ["write_table"]

_MOST_ROWS = 1_000_000  # a sheet has 1,048,576
_OPTIONS = {
    "constant_memory": True,
    "strings_to_formulas": False,
    "strings_to_numbers": False,
    "strings_to_urls": False,
    "nan_inf_to_errors": True,
}


def write_table(reader: HistoryReader, chosen: ResultFilter, path: Path, zone: ZoneInfo) -> None:
    """Write ``.csv`` or ``.xlsx``, the latest result first.

    Raises:
        StorageError: the history cannot be read.
    """
    if path.suffix == ".csv":
        export_results(reader, chosen, path, "csv", zone)
        return
    with xlsxwriter.Workbook(str(path), _OPTIONS) as book:
        sheet = book.add_worksheet("results")
        sheet.freeze_panes(1, 0)
        for number, row in enumerate(results_as_rows(reader, chosen, zone)):
            if number == 0:
                sheet.write_row(0, 0, list(row))
            if number >= _MOST_ROWS:
                break
            for column, value in enumerate(row.values()):
                if isinstance(value, str):
                    sheet.write_string(number + 1, column, value)
                elif value is not None:
                    sheet.write(number + 1, column, value)
