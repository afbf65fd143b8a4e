"""Access of the pages to the box's history: filters as a form sends them, and errors as words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import get_args
from urllib.parse import urlencode

from edgeflow.config.box import BoxConfig
from edgeflow.contracts.messages import VerdictName
from edgeflow.history.box import shift_plan
from edgeflow.history.filters import Labelled, ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.shifts import Shift, ShiftPlan

__all__ = ["FIELDS", "Choice", "History"]

FIELDS = ("verdict", "shift", "since", "until", "part", "view", "product", "reason", "labelled")
"""Names of the filter's form fields; an empty one chooses everything."""

_VERDICTS: tuple[VerdictName, ...] = get_args(VerdictName)
_LABELLED: tuple[Labelled, ...] = get_args(Labelled)
_DAY = timedelta(days=1)
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Results that somebody asked for.

    Attributes:
        fields: as the form had them, for showing it again.
        shifts: all in which there may be chosen results.
    """

    fields: Mapping[str, str]
    results: ResultFilter
    shifts: tuple[Shift, ...]

    @property
    def query(self) -> str:
        """The fields as part of an address."""
        return urlencode({name: value for name, value in self.fields.items() if value})


@dataclass(frozen=True, kw_only=True)
class History:
    """The history of one box."""

    config: BoxConfig

    @property
    def plan(self) -> ShiftPlan:
        """The shifts of the site, and its time zone."""
        return shift_plan(self.config)

    @contextmanager
    def reader(self) -> Iterator[HistoryReader]:
        """Open the history for reading.

        Raises:
            StorageError: there is none, or it cannot be read; says why.
        """
        with HistoryReader(self.config.history_path) as reader:
            yield reader

    def choose(self, reader: HistoryReader, query: Mapping[str, str], now: datetime) -> Choice:
        """Return the choice of a form; a field that cannot be understood chooses everything.

        Args:
            now: aware.
        """
        fields = {name: query.get(name, "").strip()[:_LONGEST] for name in FIELDS}
        plan = self.plan
        since, until = _day(fields["since"], plan), _day(fields["until"], plan)
        first, last = reader.span() or (now, now)
        shifts = tuple(plan.between(since or first, max(until or last, since or first)))
        wanted = _shifts(fields["shift"], plan, shifts, now)
        results = ResultFilter(
            since=since,
            until=None if until is None else until + _DAY,
            shifts=wanted,
            verdicts=tuple(verdict for verdict in _VERDICTS if verdict == fields["verdict"]),
            part=fields["part"] or None,
            view=fields["view"] or None,
            product=fields["product"] or None,
            reason_code=fields["reason"] or None,
            labelled=next((name for name in _LABELLED if name == fields["labelled"]), None),
        )
        return Choice(fields=fields, results=results, shifts=shifts if wanted is None else tuple(wanted))


def _day(text: str, plan: ShiftPlan) -> datetime | None:
    """Return the beginning of a day of the site; None where the text is no date."""
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=plan.zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _shifts(name: str, plan: ShiftPlan, shifts: tuple[Shift, ...], now: datetime) -> list[Shift] | None:
    if name == "now":
        return [plan.at(now)]
    if name == "last":
        return [plan.at(plan.at(now).start - timedelta(seconds=1))]
    if name in plan.starts:
        return [shift for shift in shifts if shift.name == name]
    return None
