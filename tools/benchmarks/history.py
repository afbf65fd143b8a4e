"""The history with 100,000 results: every filter, statistics and an export, and what one result costs.

PYTHONPATH=tools python -m benchmarks.history
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import click
from rich.console import Console

from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.contracts.datasets.part_label import PartLabel
from edgeflow.history.database.store import HistoryStore, Retention
from edgeflow.history.export import export_results
from edgeflow.history.filters import ResultFilter
from edgeflow.history.labels import add_label
from edgeflow.history.reader import HistoryReader
from edgeflow.history.shifts import ShiftPlan
from edgeflow.history.statistics import statistics_of
from edgeflow.run_time import read_boot
from simulators.results import simulated_entries

LIMIT_S = 0.5
PLAN = ShiftPlan(zone=ZoneInfo("Europe/Berlin"), starts={"early": "06:00", "late": "14:00", "night": "22:00"})
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@click.command()
@click.option("--results", type=int, default=100_000, show_default=True)
@click.option("--views", type=int, default=5, show_default=True)
def main(results: int, views: int) -> None:
    """Fill a history, then measure every kind of question, each with a fresh connection."""
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.db"
        _fill(path, results, views, console)
        questions = _questions(path, results)
        table = make_table("question", "ms", "results", right=("ms", "results"))
        slowest_s = 0.0
        for name, ask in questions.items():
            took_s, found = min(_timed(ask) for _ in range(3))
            slowest_s = max(slowest_s, took_s)
            table.add_row(name, f"{took_s * 1e3:.1f}", f"{found:,}")
        print_table(console, table)
        rows = _timed(lambda: _export(path, Path(folder) / "all.csv", ResultFilter()))
        console.print(f"export of all results as CSV: {rows[0]:.1f} s")
    console.print(f"slowest question {slowest_s * 1e3:.0f} ms; at most {LIMIT_S * 1e3:.0f} ms are wanted")
    raise SystemExit(slowest_s > LIMIT_S)


def _fill(path: Path, results: int, views: int, console: Console) -> None:
    boot = read_boot()
    store = HistoryStore(path, boot)
    entries = simulated_entries(results, views=views, begin=BEGIN, period=timedelta(minutes=5))
    portion = []
    spent_s = 0.0
    for entry in entries:
        portion.append(entry)
        if len(portion) == 500:
            begun_s = time.process_time()
            store.write(portion, [], boot)
            spent_s += time.process_time() - begun_s
            portion = []
    store.write(portion, [], boot)
    size = store.bytes
    begun_s = time.perf_counter()
    store.retain(Retention(days=1e6, bytes=2**60), boot)
    store.close()
    console.print(
        f"{results:,} results of {views} views: {size / results:.0f} bytes and "
        f"{spent_s / results * 1e6:.0f} µs of processor time each; a look for old ones takes "
        f"{(time.perf_counter() - begun_s) * 1e3:.1f} ms"
    )
    for number in range(0, results, max(1, results // 200)):
        add_label(path, _label(f"session-{number:06d}"))


def _label(result_id: str) -> PartLabel:
    return PartLabel(
        result_id=result_id, part_id="", label="OK", by="bench", source="cli", at="2026-11-28T00:00:00.0Z"
    )


def _questions(path: Path, results: int) -> dict[str, Callable[[], int]]:
    everything = ResultFilter()
    week = ResultFilter(since=BEGIN + timedelta(days=100), until=BEGIN + timedelta(days=107))
    with HistoryReader(path) as reader:
        first, last = reader.span() or (BEGIN, BEGIN)
    shifts = PLAN.between(first, last)
    night = replace(everything, shifts=[shift for shift in shifts if shift.name == "night"])
    filters = {
        "all": everything,
        "time: a week": week,
        "shift: night": night,
        "verdict: NG": replace(everything, verdicts=("NG",)),
        "part id": replace(everything, part=f"P-{results // 2}"),
        "part id with *": replace(everything, part="P-77*"),
        "view: C3": replace(everything, view="C3"),
        "view: C3, NG": replace(everything, view="C3", verdicts=("NG",)),
        "product": replace(everything, product="bracket"),
        "product unknown": replace(everything, product="nothing"),
        "reason": replace(everything, reason_code="missing_views"),
        "labelled": replace(everything, labelled="yes"),
        "not labelled": replace(everything, labelled="no"),
        "disputed": replace(everything, labelled="disputed"),
        "night, NG, C3, not labelled": replace(night, verdicts=("NG",), view="C3", labelled="no"),
    }
    found: dict[str, Callable[[], int]] = {}
    for name, chosen in filters.items():
        found[f"{name}: latest 50"] = lambda c=chosen: _ask(path, lambda r: len(r.rows(c, count=50)))  # type: ignore[misc]
        found[f"{name}: count"] = lambda c=chosen: _ask(path, lambda r: r.count(c))  # type: ignore[misc]
    found["statistics of all"] = lambda: _ask(path, lambda r: statistics_of(r, everything, shifts).parts)
    found["statistics of nights"] = lambda: _ask(path, lambda r: statistics_of(r, night, shifts).parts)
    found["trend of C3"] = lambda: _ask(path, lambda r: len(r.trend("C3")))
    found["a week as CSV"] = lambda: _export(path, path.with_name("week.csv"), week)
    found["one part"] = lambda: _ask(path, lambda r: int(r.part(f"P-{results // 2}") is not None))
    return found


def _ask(path: Path, question: Callable[[HistoryReader], int]) -> int:
    with HistoryReader(path) as reader:
        return question(reader)


def _export(path: Path, target: Path, chosen: ResultFilter) -> int:
    with HistoryReader(path) as reader:
        return export_results(reader, chosen, target, "csv", PLAN.zone)


def _timed(ask: Callable[[], int]) -> tuple[float, int]:
    begun_s = time.perf_counter()
    found = ask()
    return time.perf_counter() - begun_s, found


if __name__ == "__main__":
    main()
