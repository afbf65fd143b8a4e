"""``edgeflow report``: one shift as one HTML file."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import click

from edgeflow.cli.options import FILE, json_option
from edgeflow.cli.result_filters import history_of
from edgeflow.cli.terminal.output import print_json
from edgeflow.clock import utc_now
from edgeflow.errors import StorageError, UsageError
from edgeflow.files import replace_atomically
from edgeflow.history.box import shift_plan
from edgeflow.history.reader import HistoryReader
from edgeflow.history.shifts import Shift, ShiftPlan
from edgeflow.monitoring.drift.monitor import state_path
from edgeflow.monitoring.drift.state import read_state

__all__ = ["report"]

_DAYS_BACK = 8


@click.command()
@click.argument("box", type=FILE)
@click.option(
    "--shift",
    metavar="NAME",
    default="latest",
    show_default=True,
    help="A shift of the box file, its last one that has begun; 'latest' is that of the latest result, 'now' "
    "the present one, 'last' the one before.",
)
@click.option("--day", metavar="DATE", help="Local day on which the shift NAME began, such as 2026-11-28.")
@click.option("-o", "--output", type=FILE, help="File to write; default: report-DAY-SHIFT.html here.")
@click.option("--language", type=click.Choice(["en", "de"]), help="Default: web.language in BOX.")
@json_option
def report(
    box: Path, shift: str, day: str | None, output: Path | None, language: str | None, *, json_output: bool
) -> None:
    """Write one shift of BOX as one HTML page: counts, trends, alarms, times, rejected parts, for printing.

    With --json the figures go to standard output, and a page is written only where -o names one.
    """
    try:
        from edgeflow.web.report.content import shift_report  # noqa: PLC0415
        from edgeflow.web.report.document import as_data, as_html  # noqa: PLC0415
    except ImportError as cause:
        raise UsageError("the report needs more packages: pip install 'edgeflow[web]'") from cause
    config, reader = history_of(box)
    with reader:
        plan, now = shift_plan(config), utc_now()
        chosen = _chosen(reader, plan, shift, day, now)
        found = shift_report(
            reader, plan, chosen, lambda name: read_state(state_path(config.drift_path, name)), now
        )
        if json_output:
            print_json(as_data(found))
        if output is not None or not json_output:
            path = output or Path(f"report-{chosen.day.isoformat()}-{chosen.name}.html")
            _write(path, as_html(found, config, language or config.web.language))
            if not json_output:
                click.echo(f"{path}: {chosen.label}, {found.statistics.parts} results")


def _chosen(reader: HistoryReader, plan: ShiftPlan, name: str, day: str | None, now: datetime) -> Shift:
    """Return the shift that was asked for.

    Raises:
        UsageError: no such shift, or no day.
    """
    if day is None and name not in plan.starts and name in ("latest", "now", "last"):
        if name == "last":
            return plan.at(plan.at(now).start - timedelta(seconds=1))
        span = reader.span() if name == "latest" else None
        return plan.at(span[1] if span else now)
    plan.require(name)
    wanted = None if day is None else _day(day)
    begin = now if wanted is None else datetime(wanted.year, wanted.month, wanted.day, 12, tzinfo=plan.zone)
    found = [one for one in plan.between(begin - timedelta(days=_DAYS_BACK), begin) if one.name == name]
    if wanted is not None:
        around = plan.between(begin - timedelta(days=1), begin + timedelta(days=1))
        found = [one for one in around if one.name == name and one.day == wanted]
    if not found:
        raise UsageError(
            f"--shift {name} --day {day}: there is no such shift; its start may fall on another day"
        )
    return found[-1]


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as cause:
        raise UsageError(f"--day {text}: write a date such as 2026-11-28") from cause


def _write(path: Path, text: str) -> None:
    try:
        with replace_atomically(path) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as cause:
        raise StorageError(
            f"{path}: cannot be written: {cause.strerror}; make room, or give another place with -o"
        ) from cause
