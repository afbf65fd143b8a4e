"""``edgeflow results``: lists, counts and exports the results that a box has recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.result_filters import Chosen, choose, filter_options, history_of
from edgeflow.cli.terminal.output import print_json
from edgeflow.cli.terminal.tables import make_table, print_table
from edgeflow.clock import utc_now
from edgeflow.contracts.documents.file_names import as_text
from edgeflow.history.export import export_results, plain_row, table_format
from edgeflow.history.records import PartRow
from edgeflow.history.statistics import ParetoLine, Statistics, statistics_of

__all__ = ["results"]

_COLOURS = {"OK": "green", "NG": "red", "UNDECIDED": "yellow"}
_LONGEST_ID = 24
_MOST_LINES = 8


@click.group()
def results() -> None:
    """Look at the results that a box has recorded: list, statistics, export; also while it runs."""


@results.command("list")
@click.argument("box", type=FILE)
@filter_options
@click.option("-n", "--count", type=click.IntRange(min=1), default=20, show_default=True, help="The latest.")
@json_option
def list_(box: Path, *, options: dict[str, Any], count: int, json_output: bool) -> None:
    """Show the latest results of BOX, the last one first."""
    config, reader = history_of(box)
    with reader:
        chosen = choose(reader, config, options, utc_now())
        rows = reader.rows(chosen.results, count=count)
        if json_output:
            for row in rows:
                scores = reader.scores(row.number, row.number).get(row.number, {})
                print_json(plain_row(row, scores, tuple(scores), chosen.plan.zone))
            return
        _print_list(rows, chosen, reader.count(chosen.results))


@results.command()
@click.argument("box", type=FILE)
@filter_options
@json_option
def stats(box: Path, *, options: dict[str, Any], json_output: bool) -> None:
    """Count the results of BOX: rates by shift, reasons, views, labels, times, and what is missing."""
    config, reader = history_of(box)
    with reader:
        chosen = choose(reader, config, options, utc_now())
        found = statistics_of(reader, chosen.results, chosen.shifts)
    if json_output:
        print_json(_document(found))
    else:
        _print_statistics(found, chosen)


@results.command()
@click.argument("box", type=FILE)
@filter_options
@click.option("-o", "--output", type=FILE, required=True, help="The file to write; it is replaced.")
@click.option(
    "--format", "form", type=click.Choice(["csv", "jsonl", "parquet"]), help="Default: by its name."
)
@json_option
def export(box: Path, *, options: dict[str, Any], output: Path, form: str | None, json_output: bool) -> None:
    """Write the results of BOX as CSV, JSON lines or Parquet, with the scores of all views."""
    written_as = table_format(output, form)
    config, reader = history_of(box)
    with reader:
        chosen = choose(reader, config, options, utc_now())
        count = export_results(reader, chosen.results, output, written_as, chosen.plan.zone)
    if json_output:
        print_json({"path": str(output), "results": count})
    else:
        click.echo(f"{output}: {count} results")


def _print_list(rows: list[PartRow], chosen: Chosen, total: int) -> None:
    console = Console(highlight=False, markup=False)
    if not rows:
        console.print(f"no results{_for(chosen)}")
        return
    table = make_table("time", "part", "verdict", "score", "view", "reason", "label", right=("score",))
    for row in rows:
        table.add_row(*_cells(row, chosen))
    print_table(console, table)
    zone = chosen.plan.zone.key
    console.print(f"{len(rows)} of {total} results{_for(chosen)}; times of {zone}", soft_wrap=True)
    if not all(row.exact for row in rows):
        console.print("≤: the highest possible score; no mask was needed for the verdict", soft_wrap=True)


def _cells(row: PartRow, chosen: Chosen) -> tuple[str | Text, ...]:
    part = as_text(row.part_id)
    short = part if len(part) <= _LONGEST_ID else f"{part[: _LONGEST_ID - 1]}…"
    score = "–" if row.score is None else f"{'' if row.exact else '≤'}{row.score:.2f}"
    label = f"{row.label or ''}{'?' if row.disputed else ''} {row.kind or ''}".strip()
    reason = row.reason_code or ""
    return (
        f"{row.decided_at.astimezone(chosen.plan.zone):%m-%d %H:%M:%S}",
        short,
        Text(row.verdict, style=_COLOURS[row.verdict]),
        score,
        "" if row.verdict == "OK" else row.worst_view or "",
        "" if reason == "ok" else reason,
        label,
    )


def _print_statistics(found: Statistics, chosen: Chosen) -> None:
    console = Console(highlight=False, markup=False)
    if not found.parts:
        console.print(f"no results{_for(chosen)}")
    else:
        _print_shifts(console, found, chosen)
        _print_pareto(console, "reasons of NG and UNDECIDED", "reason", found.reasons)
        _print_pareto(console, "worst views of NG", "view", found.views)
        _print_labels(console, found)
        console.print(
            f"trigger to decision: p50 {found.p50_ms:.1f} ms, p99 {found.p99_ms:.1f} ms; "
            f"{found.late} after the deadline"
        )
    missing = sum(gap.count for gap in found.gaps)
    if missing:
        latest = found.gaps[-1]
        console.print(
            f"{missing} results are missing in the history (the latest at "
            f"{latest.at.astimezone(chosen.plan.zone):%Y-%m-%d %H:%M}: {latest.why})",
            style="bold red",
            soft_wrap=True,
        )


def _print_shifts(console: Console, found: Statistics, chosen: Chosen) -> None:
    console.print(f"{found.parts} results{_for(chosen)}; times of {chosen.plan.zone.key}", soft_wrap=True)
    names = ("parts", "OK", "NG", "UNDECIDED", "NG %")
    table = make_table("shift", *names, right=names)
    for line in found.shifts:
        counts = (line.counts[verdict] for verdict in ("OK", "NG", "UNDECIDED"))
        table.add_row(line.shift.label, str(line.parts), *map(str, counts), f"{line.reject_share:.1%}")
    if len(found.shifts) > 1:
        counts = (found.counts[verdict] for verdict in ("OK", "NG", "UNDECIDED"))
        table.add_row("all", str(found.parts), *map(str, counts), f"{found.counts['NG'] / found.parts:.1%}")
    print_table(console, table)


def _print_pareto(console: Console, title: str, name: str, lines: tuple[ParetoLine, ...]) -> None:
    if not lines:
        return
    console.print(title)
    table = make_table(name, "parts", "share", "so far", right=("parts", "share", "so far"))
    for line in lines[:_MOST_LINES]:
        table.add_row(line.name, str(line.count), f"{line.share:.0%}", f"{line.cumulated:.0%}")
    print_table(console, table)
    if len(lines) > _MOST_LINES:
        console.print(f"and {len(lines) - _MOST_LINES} more; --json shows all")


def _print_labels(console: Console, found: Statistics) -> None:
    if not found.labels:
        return
    told = [f"{count} {verdict} labelled {label}" for (verdict, label), count in sorted(found.labels.items())]
    console.print(f"labels: {', '.join(told)}", soft_wrap=True)


def _document(found: Statistics) -> dict[str, object]:
    def pareto(lines: tuple[ParetoLine, ...]) -> list[dict[str, object]]:
        return [{"name": line.name, "parts": line.count, "share": line.share} for line in lines]

    return {
        "results": found.parts,
        "verdicts": dict(found.counts),
        "shifts": [
            {
                "shift": line.shift.name,
                "day": line.shift.day.isoformat(),
                "start": line.shift.start.isoformat(),
                "end": line.shift.end.isoformat(),
                "verdicts": dict(line.counts),
            }
            for line in found.shifts
        ],
        "reasons": pareto(found.reasons),
        "views": pareto(found.views),
        "labels": [
            {"verdict": verdict, "label": label, "parts": count}
            for (verdict, label), count in sorted(found.labels.items())
        ],
        "decided_after_ms": {"p50": found.p50_ms, "p99": found.p99_ms},
        "late": found.late,
        "missing": sum(gap.count for gap in found.gaps),
        "gaps": [
            {"from": gap.first, "to": gap.last, "count": gap.count, "why": gap.why, "at": gap.at.isoformat()}
            for gap in found.gaps
        ],
    }


def _for(chosen: Chosen) -> str:
    return f" ({chosen.words})" if chosen.words else ""
