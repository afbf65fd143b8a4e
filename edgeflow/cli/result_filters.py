"""Options that choose results of a box's history, shared by the commands that read it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import click

from edgeflow.config.box import BoxConfig, load_config
from edgeflow.errors import UsageError
from edgeflow.history.box import shift_plan
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.shifts import Shift, ShiftPlan

__all__ = ["Chosen", "choose", "filter_options", "history_of"]

F = TypeVar("F", bound=Callable[..., Any])
_AGO = re.compile(r"(\d+)\s*(min|h|d|w)")
_UNITS = {
    "min": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_TIME = "A date, a date with a time (of the site), or how long ago: 30min, 8h, 7d."
_OPTIONS = (
    click.option("--since", metavar="TIME", help=_TIME),
    click.option("--until", metavar="TIME", help="The same; that moment itself is left out."),
    click.option(
        "--shift",
        metavar="NAME",
        help="A shift of the box file; 'now' is the present one, 'last' the one before.",
    ),
    click.option(
        "--verdict",
        "verdicts",
        type=click.Choice(["OK", "NG", "UNDECIDED"]),
        multiple=True,
        help="Only these.",
    ),
    click.option("--part", metavar="ID", help="A part id or result id; * stands for any letters."),
    click.option("--view", metavar="VIEW", help="The view that the verdict is about: missing, or the worst."),
    click.option("--product", metavar="NAME", help="A product of the box, or the name of a bundle."),
    click.option("--reason", metavar="CODE", help="Reason code, such as defect or late."),
    click.option(
        "--labelled",
        type=click.Choice(["yes", "no", "OK", "NG", "disputed"]),
        help="Whether people gave a label, and which; disputed: they disagree.",
    ),
)
_NAMES = ("since", "until", "shift", "verdicts", "part", "view", "product", "reason", "labelled")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A box's history and the results of it that were asked for.

    Attributes:
        shifts: all in which there may be chosen results.
        words: the choice in words; empty where all results were.
    """

    config: BoxConfig
    plan: ShiftPlan
    results: ResultFilter
    shifts: tuple[Shift, ...]
    words: str


def filter_options(command: F) -> F:
    """Add the options that choose results, as one mapping ``options``."""

    @functools.wraps(command)
    def gathered(**values: Any) -> Any:
        options = {name: values.pop(name) for name in _NAMES}
        return command(options=options, **values)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered  # type: ignore[return-value]


def choose(reader: HistoryReader, config: BoxConfig, options: dict[str, Any], now: datetime) -> Chosen:
    """Return the choice that the options make.

    Args:
        now: aware.

    Raises:
        UsageError: a time or a shift that cannot be understood.
    """
    plan = shift_plan(config)
    since = _moment(options["since"], plan.zone, now, "--since")
    until = _moment(options["until"], plan.zone, now, "--until")
    first, last = reader.span() or (now, now)
    shifts = tuple(plan.between(since or first, max(until or last, since or first)))
    wanted = _shifts(options["shift"], plan, shifts, now)
    results = ResultFilter(
        since=since,
        until=until,
        shifts=wanted,
        verdicts=options["verdicts"],
        part=options["part"],
        view=options["view"],
        product=options["product"],
        reason_code=options["reason"],
        labelled=options["labelled"],
    )
    given = [(name, value) for name, value in options.items() if value]
    words = ", ".join(f"{name.rstrip('s')} {_word(value)}" for name, value in given)
    return Chosen(
        config=config,
        plan=plan,
        results=results,
        shifts=shifts if wanted is None else tuple(wanted),
        words=words,
    )


def history_of(box: Path) -> tuple[BoxConfig, HistoryReader]:
    """Open the history of a box file.

    Raises:
        ConfigError, StorageError: the box file, or its history.
    """
    config = load_config(box)
    return config, HistoryReader(config.history_path)


def _shifts(
    name: str | None, plan: ShiftPlan, shifts: tuple[Shift, ...], now: datetime
) -> list[Shift] | None:
    if name is None:
        return None
    if name in ("now", "last") and name not in plan.starts:
        present = plan.at(now)
        return [present if name == "now" else plan.at(present.start - timedelta(seconds=1))]
    plan.require(name)
    return [shift for shift in shifts if shift.name == name]


def _moment(text: str | None, zone: ZoneInfo, now: datetime, option: str) -> datetime | None:
    if text is None:
        return None
    ago = _AGO.fullmatch(text.strip())
    try:
        if ago:
            return now - int(ago[1]) * _UNITS[ago[2]]
        if len(text) == len("2026-11-28"):
            day = date.fromisoformat(text)
            return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError) as cause:
        raise UsageError(
            f"{option} {text}: write a date such as 2026-11-28, 2026-11-28T14:00, or 30min, 8h, 7d"
        ) from cause


def _word(value: object) -> str:
    return " or ".join(map(str, value)) if isinstance(value, tuple) else str(value)
