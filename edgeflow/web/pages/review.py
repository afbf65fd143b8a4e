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
from edgeflow.history.records import PartRow
from edgeflow.web.history_access import History
from edgeflow.web.language import language_of
from edgeflow.web.pages.pictures import evidence_folder
from edgeflow.web.requests import form_of
from edgeflow.web.templating import Templates

__all__ = ["ReviewPage", "most_doubtful"]

_LOOKED_AT = 2000  # latest parts that nobody has judged
_NEAR = 0.2  # of the threshold, on the scale where it is 1.0
_KINDS = 20

Judge = Callable[[str, LabelName, str, str], str]
"""Records a judgement: result id, label, kind of defect, user; returns a text, raises EdgeflowError."""


def most_doubtful(rows: Sequence[PartRow], skipped: frozenset[str] = frozenset()) -> list[PartRow]:
    """Order parts with pictures for review: near the threshold, then NG, undecided, and the sample of OK.

    Args:
        rows: nobody has judged them; the latest first.
        skipped: result ids to leave out.
    """
    kept = [row for row in rows if row.evidence is not None and row.result_id not in skipped]
    return sorted(kept, key=_group)


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
        form = await form_of(request)
        skipped = frozenset(form.get("skipped", "").split()[-200:])
        result_id, said = form.get("result_id", ""), form.get("label", "")
        text = ""
        if said in ("OK", "NG"):
            label: LabelName = "NG" if said == "NG" else "OK"
            kind = form.get("kind", "").strip() if label == "NG" else ""
            try:
                text = await asyncio.to_thread(self.judge, result_id, label, kind, request.state.session.user)
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
            kinds = sorted(
                {row.kind for row in reader.rows(ResultFilter(labelled="NG"), count=500) if row.kind}
            )
        return self.templates.render(
            language_of(request),
            "review/next.html",
            part=record,
            waiting=len(waiting),
            kinds=kinds[:_KINDS],
            said=text,
            skipped=" ".join(sorted(skipped)),
        )
