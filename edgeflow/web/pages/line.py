"""Pages *Line* and *Cameras*: the station as it is now, sent anew whenever something changes."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from edgeflow.web.box_link import BoxLink, LiveState
from edgeflow.web.language import language_of
from edgeflow.web.templating import Templates

__all__ = ["LinePage", "PacedParts"]

_LOOK_S = 0.2
_BREATH_S = 15.0  # a comment after so long without news, so that a browser that went is noticed
_PARTS = ("notice", "verdict", "figures", "state", "alarms", "views", "strip", "cameras")


@dataclass(frozen=True, kw_only=True)
class LinePage:
    """Pages *Line* and *Cameras*.

    Attributes:
        figures: counts for the page, of a live state; called off the event loop.
        views: names of the views, in the order of the box file.
    """

    link: BoxLink
    templates: Templates
    figures: Callable[[LiveState], Mapping[str, Any]]
    views: tuple[str, ...]

    async def page(self, request: Request) -> Response:
        """Return the page, complete with what is known now."""
        parts = await asyncio.to_thread(self._rendered, language_of(request), self.link.now)
        return self.templates.page(request, "line.html", parts=parts)

    async def cameras(self, request: Request) -> Response:
        """Return the page with the cameras' pictures and figures."""
        parts = await asyncio.to_thread(self._rendered, language_of(request), self.link.now)
        return self.templates.page(request, "cameras.html", parts=parts)

    async def events(self, request: Request) -> Response:
        """Return the stream of the parts of the page that change."""
        stream = self._events(language_of(request))
        return StreamingResponse(
            stream, media_type="text/event-stream", headers={"cache-control": "no-store"}
        )

    async def picture(self, request: Request) -> Response:
        """Return one small picture of one of the latest parts."""
        wanted = request.path_params
        data = self.link.picture(wanted["result_id"], wanted["view"], wanted["name"])
        if data is None:
            return Response(status_code=404)
        return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    async def _events(self, language: str) -> AsyncIterator[str]:
        """Yield changed parts; a browser that does not read holds up nobody, and then gets the latest."""
        sent: dict[str, str] = {}
        number, quiet_s = -1, 0.0
        while True:
            if self.link.now.number == number:
                quiet_s += _LOOK_S
                if quiet_s >= _BREATH_S:
                    quiet_s = 0.0
                    yield ": still here\n\n"
                await asyncio.sleep(_LOOK_S)
                continue
            quiet_s = 0.0
            number, parts = await asyncio.to_thread(self._paced.latest, language)
            for name, html in parts.items():
                if sent.get(name) != html:
                    yield _event(name, html)
            sent = parts
            await asyncio.sleep(_LOOK_S)

    def _rendered(self, language: str, now: LiveState) -> dict[str, str]:
        values = {"now": now, "status": now.status, "figures": self.figures(now), "views": self.views}
        return {name: self.templates.render(language, f"line/{name}.html", **values) for name in _PARTS}

    @functools.cached_property
    def _paced(self) -> PacedParts:
        def rendered(language: str) -> tuple[int, dict[str, str]]:
            now = self.link.now
            return now.number, self._rendered(language, now)

        return PacedParts(rendered)


class PacedParts:
    """Parts of the page as all browsers of a language get them, made five times a second at most.

    However many browsers watch, each looking at moments of its own, the line's processor is taken as often as
    by one.
    """

    def __init__(self, rendered: Callable[[str], tuple[int, dict[str, str]]]) -> None:
        self._make = rendered
        self._lock = threading.Lock()
        self._made: dict[str, tuple[float, tuple[int, dict[str, str]]]] = {}

    def latest(self, language: str) -> tuple[int, dict[str, str]]:
        """Return the number of a state that is at most 0.2 s old, and its parts."""
        with self._lock:
            made_s, found = self._made.get(language, (-_LOOK_S, (-1, {})))
            now_s = time.monotonic()
            if now_s - made_s >= _LOOK_S:
                found = self._make(language)
                self._made[language] = (now_s, found)
            return found


def _event(name: str, html: str) -> str:
    lines = "".join(f"data: {line}\n" for line in html.splitlines() if line.strip())
    return f"event: {name}\n{lines or 'data: '}\n\n"
