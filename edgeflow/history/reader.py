"""Read access to a history, for every process beside the box: lists, single parts, trends, gaps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from edgeflow.history.database.alarm_log import alarm_spans
from edgeflow.history.database.schema import mapped, open_for_reading
from edgeflow.history.filters import ResultFilter
from edgeflow.history.labels import labels_of
from edgeflow.history.records import AlarmSpan, Gap, PartRecord, PartRow, Position, ViewRow, utc_of

__all__ = ["EVERYTHING", "HistoryReader", "TrendPoint"]

EVERYTHING = ResultFilter()
_ROW = (
    "r.id, r.result_id, r.part_id, r.verdict, r.reason_code, r.score, r.score_raw, r.threshold, r.exact, "
    "r.worst_view, r.decided_ms, r.total_ms, b.name, b.version, b.sha256, b.graph, r.evidence, r.kept, "
    "r.label, r.kind, r.disputed, r.product"
)
_BUNDLES = "JOIN bundles b ON b.id = r.bundle"
_MORE = (
    "r.trigger_id, r.session, r.seq, r.reason, r.triggered_at, r.deadline_ms, r.deadline_met, r.gate_told, "
    "r.durations, r.missing, r.context, r.alarms, r.ok_share"
)


@dataclass(frozen=True, kw_only=True)
class TrendPoint:
    """One view's score in one result, on the scale where 1.0 is the threshold."""

    number: int
    decided_at: datetime
    score: float
    exact: bool


class HistoryReader:
    """Reads one history; a running box is not disturbed. Use it as a context, on one thread at a time.

    Raises:
        StorageError: there is no history, it cannot be read, or another version wrote it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = open_for_reading(path)

    def __enter__(self) -> HistoryReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def rows(
        self, chosen: ResultFilter = EVERYTHING, *, count: int | None = None, before: int | None = None
    ) -> list[PartRow]:
        """Return results, the latest recorded first.

        Args:
            count: at most so many.
            before: only those with a lower ``number``: the next page.
        """
        return list(self.each(chosen, count=count, before=before))

    def each(
        self, chosen: ResultFilter = EVERYTHING, *, count: int | None = None, before: int | None = None
    ) -> Iterator[PartRow]:
        """Yield the results of :meth:`rows` one by one."""
        page, values = ("", ()) if before is None else (" AND r.id < ?", (before,))
        limit = "" if count is None else f" LIMIT {int(count)}"
        clause = chosen.clause()
        # Numbers first: an index has them, while each whole row is a step into the table.
        numbers = clause.query("r.id", end=f"{page} ORDER BY r.id DESC{limit}")
        query = f"SELECT {_ROW} FROM results r {_BUNDLES} WHERE r.id IN ({numbers}) ORDER BY r.id DESC"  # noqa: S608
        with self._errors():
            for row in self._connection.execute(query, (*clause.values, *values)):
                yield _part_row(row)

    def count(self, chosen: ResultFilter = EVERYTHING) -> int:
        """Return the number of results."""
        return int(self.select("COUNT(*)", chosen)[0][0])

    def newest(self) -> int:
        """Return the number of the latest result; 0 where there is none. Cheap: for polling."""
        with self._errors():
            return int(self._connection.execute("SELECT MAX(id) FROM results").fetchone()[0] or 0)

    def position(self) -> Position:
        """Return the latest result, from which later ones are counted."""
        with self._errors():
            found = self._connection.execute("SELECT value FROM meta WHERE key = 'identity'").fetchone()
        return Position(number=self.newest(), history=found[0] if found else "")

    def after(self, position: Position) -> int:
        """Return the number after which results are newer than a position; 0 where the history began anew."""
        now = self.position()
        same = position.history in ("", now.history)  # also a copy of it that was put back, and is behind
        return position.number if same and now.number >= position.number else 0

    def span(self) -> tuple[datetime, datetime] | None:
        """Return the earliest and the latest decision by the wall clock; None where there is none."""
        with self._errors():
            first, last = self._connection.execute(
                "SELECT (SELECT MIN(decided_ms) FROM results), (SELECT MAX(decided_ms) FROM results)"
            ).fetchone()
        return None if first is None else (utc_of(first), utc_of(last))

    def part(self, part: str) -> PartRecord | None:
        """Return all that is known of a part, of its latest result; None where it is unknown.

        Args:
            part: its result id, else its part id.
        """
        with self._errors():
            for column in ("result_id", "part_id"):
                row = self._connection.execute(
                    f"SELECT {_ROW}, {_MORE} FROM results r {_BUNDLES} WHERE r.{column} = ? "  # noqa: S608
                    "ORDER BY r.id DESC LIMIT 1",
                    (part,),
                ).fetchone()
                if row is not None:
                    return self._record(row)
        return None

    def views(self, number: int) -> tuple[ViewRow, ...]:
        """Return the views of the result with this number."""
        query = (
            "SELECT view, score, score_raw, threshold, exact, frame_id, skew_ms, regions FROM views "
            "WHERE result = ? ORDER BY view"
        )
        with self._errors():
            return tuple(map(_view_row, self._connection.execute(query, (number,))))

    def view_names(self) -> tuple[str, ...]:
        """Return the views that occur, in order."""
        # Each step is one look into the index over (result, view) of a bundle's latest part.
        query = (
            "SELECT DISTINCT view FROM views WHERE result IN (SELECT MAX(id) FROM results GROUP BY bundle) "
            "ORDER BY view"
        )
        with self._errors():
            return tuple(name for (name,) in self._connection.execute(query))

    def trend(self, view: str, chosen: ResultFilter = EVERYTHING, *, count: int = 2000) -> list[TrendPoint]:
        """Return the scores of a view in the latest results, the earliest first; not scored ones left out."""
        clause = chosen.clause()
        inner = clause.query(
            "r.id, r.decided_ms, v.score, v.exact",
            more_tables="JOIN views v ON v.result = r.id",
            end=" AND v.view = ? AND v.score IS NOT NULL ORDER BY r.id DESC LIMIT ?",
        )
        with self._errors():
            found = self._connection.execute(inner, (*clause.values, view, count)).fetchall()
        return [
            TrendPoint(number=number, decided_at=utc_of(ms), score=score, exact=bool(exact))
            for number, ms, score, exact in reversed(found)
        ]

    def gaps(self, since: datetime | None = None) -> list[Gap]:
        """Return the recorded gaps, the earliest first."""
        query = "SELECT first, last, count, why, at_ms FROM gaps WHERE at_ms >= ? ORDER BY id"
        from_ms = 0 if since is None else round(since.timestamp() * 1000)
        with self._errors():
            return [
                Gap(first=first, last=last, count=count, why=why, at=utc_of(at_ms))
                for first, last, count, why, at_ms in self._connection.execute(query, (from_ms,))
            ]

    def alarms(self, since: datetime, until: datetime) -> list[AlarmSpan]:
        """Return the alarms that stood within a time, the earliest first."""
        with self._errors():
            return alarm_spans(self._connection, since, until)

    def scores(self, first: int, last: int) -> dict[int, dict[str, float]]:
        """Return the scores of all views of the results with these numbers: number → view → score."""
        query = "SELECT result, view, score FROM views WHERE result BETWEEN ? AND ? AND score IS NOT NULL"
        found: dict[int, dict[str, float]] = {}
        with self._errors():
            for number, view, score in self._connection.execute(query, (first, last)):
                found.setdefault(number, {})[view] = score
        return found

    def select(self, columns: str, chosen: ResultFilter, *, end: str = "") -> list[tuple[Any, ...]]:
        """Return columns of the chosen results; for this package.

        Args:
            end: see :meth:`Clause.query`.
        """
        clause = chosen.clause()
        with self._errors():
            return self._connection.execute(clause.query(columns, end=end), clause.values).fetchall()

    def _record(self, row: tuple[Any, ...]) -> PartRecord:
        count = len(_ROW.split(","))
        found = _part_row(row[:count])
        (
            trigger_id, session, seq, reason, triggered_at, deadline_ms, deadline_met, told, durations,
            missing, context, alarms, ok_share,
        ) = row[count:]  # fmt: skip
        return PartRecord(
            row=found,
            trigger_id=trigger_id,
            session=session,
            seq=seq,
            reason=reason,
            triggered_at=triggered_at,
            deadline_ms=deadline_ms,
            deadline_met=bool(deadline_met),
            gate_told=None if told is None else bool(told),
            durations_ms=json.loads(durations),
            missing=tuple(json.loads(missing)),
            context=json.loads(context),
            alarms=tuple(json.loads(alarms)),
            ok_share=ok_share,
            views=self.views(found.number),
            labels=labels_of(self._connection, found.result_id),
        )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        with mapped(self._path, "read"):
            yield


def _part_row(row: tuple[Any, ...]) -> PartRow:
    (
        number, result_id, part_id, verdict, reason_code, score, score_raw, threshold, exact, worst_view,
        ms, total_ms, bundle, version, sha256, graph, evidence, kept, label, kind, disputed,
        product,
    ) = row  # fmt: skip
    return PartRow(
        number=number,
        result_id=result_id,
        part_id=part_id,
        verdict=verdict,
        reason_code=reason_code,
        score=score,
        score_raw=score_raw,
        threshold=threshold,
        exact=bool(exact),
        worst_view=worst_view,
        decided_at=utc_of(ms),
        total_ms=total_ms,
        bundle=bundle,
        bundle_version=version,
        bundle_sha256=sha256,
        graph=graph,
        evidence=evidence,
        kept=kept,
        label=label,
        kind=kind,
        disputed=bool(disputed),
        product=product,
    )


def _view_row(row: tuple[Any, ...]) -> ViewRow:
    view, score, score_raw, threshold, exact, frame_id, skew_ms, regions = row
    return ViewRow(
        view=view,
        score=score,
        score_raw=score_raw,
        threshold=threshold,
        exact=bool(exact),
        frame_id=frame_id,
        skew_ms=skew_ms,
        regions=tuple(json.loads(regions)) if regions else (),
    )
