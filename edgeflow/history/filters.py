"""Choice of results, as lists, statistics, exports and pages share it; to SQL, pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from edgeflow.contracts.messages import VerdictName
from edgeflow.history.shifts import Shift

__all__ = ["Clause", "Labelled", "ResultFilter"]

Labelled = Literal["yes", "no", "OK", "NG", "disputed"]
Value = str | int | float | None
_LABELLED = {
    "yes": "r.label IS NOT NULL",
    "no": "r.label IS NULL",
    "OK": "r.label = 'OK'",
    "NG": "r.label = 'NG'",
    "disputed": "r.label IS NOT NULL AND r.disputed",
}


@dataclass(frozen=True, kw_only=True)
class Clause:
    """SQL that chooses rows of ``results r``.

    Attributes:
        with_: the common table expression before SELECT; empty where none is needed.
        tables: what follows FROM.
        where: the conditions.
        values: of all placeholders, in order.
    """

    with_: str
    tables: str
    where: str
    values: tuple[Value, ...]

    def query(self, columns: str, *, more_tables: str = "", end: str = "") -> str:
        """Return the whole query.

        Args:
            more_tables: joined to the results, such as ``JOIN bundles b ON b.id = r.bundle``.
            end: further conditions, grouping and order.
        """
        return f"{self.with_}SELECT {columns} FROM {self.tables} {more_tables} WHERE {self.where}{end}"  # noqa: S608


@dataclass(frozen=True, kw_only=True)
class ResultFilter:
    """Conditions that all have to hold; the default chooses every result.

    Attributes:
        since, until: aware; ``until`` is excluded.
        shifts: intervals of which the result lies in one; None: any time.
        part: part id or result id; ``*`` stands for any letters.
        view: the view that the verdict is about, see :func:`~edgeflow.history.database.store.worst_view`.
        product: of a box with several, or name of the bundle.
        of_product: of a box with several, and nothing else.
        bundle_sha256: of the bundle.
        graph: id of the graph, such as ``openvino-int8``.
        reason_code: of the verdict.
    """

    since: datetime | None = None
    until: datetime | None = None
    shifts: Sequence[Shift] | None = None
    verdicts: tuple[VerdictName, ...] = ()
    part: str | None = None
    view: str | None = None
    product: str | None = None
    of_product: str | None = None
    bundle_sha256: str | None = None
    graph: str | None = None
    reason_code: str | None = None
    labelled: Labelled | None = None

    def clause(self) -> Clause:
        """Return the filter as SQL."""
        conditions: list[tuple[str, tuple[Value, ...]]] = [("TRUE", ())]
        if self.since is not None:
            conditions.append(("r.decided_ms >= ?", (_ms(self.since),)))
        if self.until is not None:
            conditions.append(("r.decided_ms < ?", (_ms(self.until),)))
        if self.verdicts:
            marks = ", ".join("?" * len(self.verdicts))
            conditions.append((f"r.verdict IN ({marks})", self.verdicts))
        if self.part is not None:
            conditions.append(_part(self.part))
        of_bundle = "r.bundle IN (SELECT id FROM bundles WHERE {} = ?)"
        for condition, value in (
            ("r.worst_view = ?", self.view),
            ("r.reason_code = ?", self.reason_code),
            ("r.product = ?", self.of_product),
            (of_bundle.format("sha256"), self.bundle_sha256),
            (of_bundle.format("graph"), self.graph),
        ):
            if value is not None:
                conditions.append((condition, (value,)))
        if self.product is not None:
            conditions.append((f"(r.product = ? OR {of_bundle.format('name')})", (self.product,) * 2))
        if self.labelled is not None:
            conditions.append((_LABELLED[self.labelled], ()))
        return self._assembled(conditions)

    def _assembled(self, conditions: list[tuple[str, tuple[Value, ...]]]) -> Clause:
        where = " AND ".join(condition for condition, _ in conditions)
        values = tuple(value for _, values in conditions for value in values)
        if self.shifts is None:
            return Clause(with_="", tables="results r", where=where, values=values)
        # Shifts first: each is one range of the index by time.
        rows = ", ".join(["(?, ?)"] * len(self.shifts)) or "(0, 0)"
        bounds = tuple(bound for shift in self.shifts for bound in (_ms(shift.start), _ms(shift.end)))
        return Clause(
            with_=f"WITH shift (begun, ended) AS (VALUES {rows}) ",
            tables="shift CROSS JOIN results r ON r.decided_ms >= begun AND r.decided_ms < ended",
            where=where,
            values=(*bounds, *values),
        )


def _part(text: str) -> tuple[str, tuple[Value, ...]]:
    if "*" not in text:
        return "(r.part_id = ? OR r.result_id = ?)", (text, text)
    pattern = "".join(f"[{letter}]" if letter in "?[" else letter for letter in text)
    return "r.part_id GLOB ?", (pattern,)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
