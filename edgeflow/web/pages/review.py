"""Page *Review*: parts that a person should judge, the doubtful first, one key each for OK and NG."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from edgeflow.contracts.datasets.part_label import LabelName
from edgeflow.errors import EdgeflowError, StorageError
from edgeflow.history.filters import ResultFilter
from edgeflow.history.reader import HistoryReader
from edgeflow.history.records import PartRow
from edgeflow.web.history_access import History
from edgeflow.web.judging import Judgement
from edgeflow.web.language import Translations, language_of, translations
from edgeflow.web.pages.pictures import evidence_folder
from edgeflow.web.pages.regions import RegionError, picture_sizes
from edgeflow.web.requests import fields_of
from edgeflow.web.templating import Templates

__all__ = ["ReviewPage", "kinds_of", "most_doubtful"]

_LOOKED_AT = 2000  # latest parts that nobody has judged
_NEAR = 0.2  # of the threshold, on the scale where it is 1.0
_KINDS = 20

Judge = Callable[[Judgement, Translations], str]
"""Records a judgement; returns a text, raises EdgeflowError and RegionError."""


def most_doubtful(rows: Sequence[PartRow], skipped: frozenset[str] = frozenset()) -> list[PartRow]:
    """Order parts with pictures for review: near the threshold, then NG, undecided, and the sample of OK.

    Args:
        rows: nobody has judged them; the latest first.
        skipped: result ids to leave out.
    """
    kept = [row for row in rows if row.evidence is not None and row.result_id not in skipped]
    return sorted(kept, key=_group)


def kinds_of(reader: HistoryReader) -> list[str]:
    """Return the kinds of defect that people have given before, for choosing one."""
    rows = reader.rows(ResultFilter(labelled="NG"), count=500)
    return sorted({row.kind for row in rows if row.kind})[:_KINDS]


def _group(row: PartRow) -> int:
    if row.score is not None and abs(row.score - 1.0) <= _NEAR:
        return 0
    return {"NG": 1, "UNDECIDED": 2}.get(row.verdict, 3)


@dataclass(frozen=True, kw_only=True)
class ReviewPage:
    """Page *Review*."""

    history: History
    templates: Templates
    judge: Judge

    async def page(self, request: Request) -> Response:
        """Return the page with the first part."""
        try:
            html = await asyncio.to_thread(self._next, request, "", frozenset[str]())
        except StorageError as cause:
            return self.templates.page(request, "no_history.html", 503, problem=cause.message)
        return self.templates.page(request, "review.html", first=html)

    async def label(self, request: Request) -> Response:
        """Record what a person says of a part, or skip it; return the next part."""
        fields = await fields_of(request)
        form = dict(fields)
        skipped = frozenset(form.get("skipped", "").split()[-200:])
        result_id, said = form.get("result_id", ""), form.get("label", "")
        text = ""
        if said in ("OK", "NG"):
            try:
                text = await self._judged(request, result_id, fields)
            except RegionError as cause:  # the form stays as it is, with what was drawn
                return PlainTextResponse(cause.text, 400)
            except EdgeflowError as cause:
                text = "; ".join([cause.message, *cause.problems])
                skipped |= {result_id}
        elif said == "skip":
            skipped |= {result_id}
        else:
            return PlainTextResponse("a part is OK, NG or skipped", 400)
        try:
            html = await asyncio.to_thread(self._next, request, text, skipped)
        except StorageError as cause:
            html = self.templates.render(language_of(request), "problem.html", problem=cause.message)
        return HTMLResponse(html)

    async def label_one(self, request: Request) -> Response:
        """Record what a person says of the part whose page is open, and load that page anew."""
        fields = await fields_of(request)
        if dict(fields).get("label") not in ("OK", "NG"):
            return PlainTextResponse("a part is OK or NG", 400)
        try:
            await self._judged(request, request.path_params["result_id"], fields)
        except RegionError as cause:
            return PlainTextResponse(cause.text, 400)
        except EdgeflowError as cause:
            status = 503 if isinstance(cause, StorageError) else 400
            return PlainTextResponse("; ".join([cause.message, *cause.problems]), status)
        return Response(status_code=204, headers={"hx-refresh": "true"})

    async def _judged(self, request: Request, result_id: str, fields: list[tuple[str, str]]) -> str:
        form = dict(fields)
        label: LabelName = "NG" if form["label"] == "NG" else "OK"
        judgement = Judgement(
            result_id=result_id,
            label=label,
            kind=form.get("kind", "").strip() if label == "NG" else "",
            regions=tuple(value for name, value in fields if name == "region"),
            user=request.state.session.user,
        )
        return await asyncio.to_thread(self.judge, judgement, translations(language_of(request)))

    def _next(self, request: Request, text: str, skipped: frozenset[str]) -> str:
        with self.history.reader() as reader:
            rows = reader.rows(ResultFilter(labelled="no"), count=_LOOKED_AT)
            record = None
            waiting = most_doubtful(rows, skipped)
            for row in waiting:
                found = reader.part(row.result_id)
                if found is not None and evidence_folder(self.history.config, found) is not None:
                    record = found
                    break
            kinds = kinds_of(reader)
        return self.templates.render(
            language_of(request),
            "review/next.html",
            part=record,
            waiting=len(waiting),
            kinds=kinds,
            sizes=picture_sizes(self.history.config, record) if record is not None else {},
            drawn={},
            said=text,
            skipped=" ".join(sorted(skipped)),
        )
