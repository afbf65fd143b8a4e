"""The page's application: all routes, and what stands behind them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edgeflow.web.box_link import BoxLink, LiveState
from edgeflow.web.pages.commands import CommandButtons, bundle_names
from edgeflow.web.pages.line import LinePage
from edgeflow.web.pages.login import LoginPage
from edgeflow.web.security.guard import Guard
from edgeflow.web.security.sessions import Sessions
from edgeflow.web.settings import PageSettings
from edgeflow.web.templating import Templates

__all__ = ["make_app"]


def _(text: str) -> str:
    """Mark a text for translation."""
    return text


_PAGES = (("/line", _("Line")),)


def make_app(settings: PageSettings, link: BoxLink) -> Starlette:
    """Return the application; the caller keeps the link running."""
    config = settings.box
    common = {
        "place": config.station,
        "bundles": lambda: bundle_names(config),
        "pages": _PAGES,
        "parts_page": False,
    }
    templates = Templates(None, common)
    sessions = Sessions(time.monotonic)
    login = LoginPage(
        users=settings.users,
        sessions=sessions,
        templates=templates,
        secure=settings.secure,
        clock=time.monotonic,
    )
    line = LinePage(link=link, templates=templates, figures=_figures, views=tuple(config.cameras))
    buttons = CommandButtons(config=config, templates=templates)

    async def missing(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return templates.page(request, "missing.html", status)

    return Starlette(
        routes=[
            Route("/", _home),
            Route("/line", line.page),
            Route("/line/events", line.events),
            Route("/line/picture/{result_id}/{view}/{name}", line.picture),
            Route("/command/{verb}", buttons.command, methods=["POST"]),
            Route("/login", login.show, methods=["GET"]),
            Route("/login", login.log_in, methods=["POST"]),
            Route("/logout", login.log_out, methods=["POST"]),
            Route("/language", login.language),
            Mount("/static", StaticFiles(directory=str(resources.files("edgeflow.web").joinpath("static")))),
        ],
        middleware=[Middleware(Guard, users=settings.users, sessions=sessions, hosts=settings.hosts)],
        exception_handlers={404: missing},
    )


async def _home(_: Request) -> Response:
    return RedirectResponse("/line", 303)


def _figures(now: LiveState) -> Mapping[str, Any]:
    """Counts since the box was started."""
    counts = now.status.get("counts", {})
    parts = sum(counts.values())
    return {
        "since": "",
        "parts": parts,
        "counts": counts,
        "ng_share": counts.get("NG", 0) / parts if parts else None,
        "parts_per_minute": now.status.get("parts_per_minute"),
    }
