"""Page *Parts*: the history with filters, its statistics, tables, and one part with all there is of it."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from edgeflow.errors import StorageError
from edgeflow.history.records import PartRecord
from edgeflow.history.statistics import statistics_of
from edgeflow.monitoring.drift.monitor import state_path
from edgeflow.monitoring.drift.state import read_state
from edgeflow.monitoring.drift.trend import drift_trend
from edgeflow.web.history_access import History
from edgeflow.web.pages.pictures import evidence_folder, map_picture, picture_file, small_picture
from edgeflow.web.pages.regions import drawn_regions, picture_sizes
from edgeflow.web.pages.review import kinds_of
from edgeflow.web.pages.tables import write_table
from edgeflow.web.templating import Templates

__all__ = ["PartsPage"]

_ROWS = 50
_TREND = 1000
_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, kw_only=True)
class PartsPage:
    """Page *Parts*.

    Attributes:
        clock: aware, UTC.
    """

    history: History
    templates: Templates
    clock: Callable[[], datetime]

    async def page(self, request: Request) -> Response:
        """Return the list of the chosen results, with their statistics."""
        try:
            values = await asyncio.to_thread(self._listed, request.query_params)
        except StorageError as cause:
            return self.templates.page(request, "no_history.html", 503, problem=cause.message)
        return self.templates.page(request, "parts.html", **values)

    async def part(self, request: Request) -> Response:
        """Return one part."""
        try:
            record, kinds = await asyncio.to_thread(self._record_with_kinds, request)
        except StorageError as cause:
            return self.templates.page(request, "no_history.html", 503, problem=cause.message)
        if record is None:
            return self.templates.page(request, "missing.html", 404)
        config = self.history.config
        return self.templates.page(
            request,
            "part.html",
            part=record,
            kept=evidence_folder(config, record) is not None,
            kinds=kinds,
            sizes=picture_sizes(config, record),
            drawn=drawn_regions(record.labels),
        )

    async def picture(self, request: Request) -> Response:
        """Return one picture of a part's evidence."""
        return await asyncio.to_thread(self._picture, request)

    async def trend(self, request: Request) -> Response:
        """Return the scores of one view in the chosen results, for the chart."""
        try:
            return JSONResponse(await asyncio.to_thread(self._trend, request.query_params))
        except StorageError as cause:
            return JSONResponse({"problem": cause.message}, 503)

    async def table(self, request: Request) -> Response:
        """Return the chosen results as a file."""
        form = request.path_params["form"]
        if form not in _TYPES:
            return self.templates.page(request, "missing.html", 404)
        try:
            path = await asyncio.to_thread(self._table, request.query_params, form)
        except StorageError as cause:
            return self.templates.page(request, "no_history.html", 503, problem=cause.message)
        return FileResponse(
            path,
            media_type=_TYPES[form],
            filename=f"results.{form}",
            background=BackgroundTask(path.unlink, missing_ok=True),
        )

    def _listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        with self.history.reader() as reader:
            choice = self.history.choose(reader, query, self.clock())
            rows = reader.rows(choice.results, count=_ROWS, before=_number(query.get("before", "")))
            views = reader.view_names()
            return {
                "rows": rows,
                "choice": choice,
                "next": rows[-1].number if len(rows) == _ROWS else None,
                "statistics": statistics_of(reader, choice.results, choice.shifts),
                "views": views,
                "zone": self.history.plan.zone.key if self.history.config.shifts else "",
                "pairs": [(view, view) for view in views],
                "products": self._products(choice.fields["product"]),
                "shifts": [(name, name) for name in self.history.plan.starts],
            }

    def _products(self, chosen: str) -> list[tuple[str, str]]:
        """Products to choose among, with the one that is chosen, which may be gone; none for one bundle."""
        names = list(self.history.config.products or ())
        if names and chosen and chosen not in names:
            names.append(chosen)
        return [(name, name) for name in names]

    def _record(self, request: Request) -> PartRecord | None:
        with self.history.reader() as reader:
            return reader.part(request.path_params["result_id"])

    def _record_with_kinds(self, request: Request) -> tuple[PartRecord | None, list[str]]:
        with self.history.reader() as reader:
            return reader.part(request.path_params["result_id"]), kinds_of(reader)

    def _picture(self, request: Request) -> Response:
        wanted = request.path_params
        try:
            record = self._record(request)
        except StorageError:
            record = None
        file = record and picture_file(self.history.config, record, wanted["view"], wanted["name"])
        if not record or not file:
            return Response(status_code=404)
        if wanted["name"] == "small":
            small = small_picture(file)
            headers = {"cache-control": "private, max-age=3600"}
            return (
                Response(small, media_type="image/jpeg", headers=headers)
                if small
                else Response(status_code=404)
            )
        if wanted["name"] != "map":
            return FileResponse(file, media_type="image/png")
        threshold = next(view.threshold for view in record.views if view.view == wanted["view"])
        data = map_picture(file, threshold)
        return Response(data, media_type="image/png") if data else Response(status_code=404)

    def _trend(self, query: Mapping[str, str]) -> dict[str, Any]:
        with self.history.reader() as reader:
            choice = self.history.choose(reader, query, self.clock())
            view = query.get("of", "")
            found = reader.trend(view, choice.results, count=_TREND)
            latest = reader.rows(choice.results, count=1)
        scores = [point.score for point in found]
        product = latest[0].product if latest else None
        alone = product is None or choice.results.product == product  # else scores of others are among them
        state = read_state(state_path(self.history.config.drift_path, product)) if alone else None
        drift = drift_trend(state, view, latest[0].bundle_sha256, scores) if latest else None
        return {
            "times": [round(point.decided_at.timestamp(), 3) for point in found],
            "scores": [round(score, 4) for score in scores],
            "drift": drift
            and {
                "low": round(drift.low, 4),
                "high": round(drift.high, 4),
                "level": [round(level, 4) for level in drift.level],
            },
        }

    def _table(self, query: Mapping[str, str], form: str) -> Path:
        with tempfile.NamedTemporaryFile(prefix="edgeflow-", suffix=f".{form}", delete=False) as file:
            path = Path(file.name)
        try:
            with self.history.reader() as reader:
                choice = self.history.choose(reader, query, self.clock())
                write_table(reader, choice.results, path, self.history.plan.zone)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else None
