"""The page's application: all routes, and what stands behind them."""

from __future__ import annotations

import time
from functools import partial
from importlib import resources

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from edgeflow.clock import utc_now
from edgeflow.web.box_link import BoxLink
from edgeflow.web.history_access import History
from edgeflow.web.judging import judge_part
from edgeflow.web.pages.commands import CommandButtons, bundle_names
from edgeflow.web.pages.line import LinePage
from edgeflow.web.pages.login import LoginPage
from edgeflow.web.pages.parts import PartsPage
from edgeflow.web.pages.review import ReviewPage
from edgeflow.web.pages.thresholds import ThresholdsPage
from edgeflow.web.requests import for_role
from edgeflow.web.security.guard import Guard
from edgeflow.web.security.sessions import Sessions
from edgeflow.web.settings import PageSettings
from edgeflow.web.shift_figures import ShiftFigures
from edgeflow.web.templating import Templates

__all__ = ["make_app"]


def _(text: str) -> str:
    """Mark a text for translation."""
    return text


_PAGES = (
    ("/line", _("Line"), "viewer"),
    ("/cameras", _("Cameras"), "viewer"),
    ("/parts", _("Parts"), "viewer"),
    ("/review", _("Review"), "viewer"),
    ("/thresholds", _("Thresholds"), "engineer"),
)
"""Address, name, and the role that sees it among the pages."""


def make_app(settings: PageSettings, link: BoxLink) -> Starlette:
    """Return the application; the caller keeps the link running."""
    history = History(config=settings.box)
    common = {
        "place": settings.box.station,
        "bundles": partial(bundle_names, settings.box),
        "products": tuple(settings.box.products or ()),
        "commanded_product": settings.box.trigger.product is None,
        "pages": _PAGES,
    }
    templates = Templates(history.plan.zone if settings.box.shifts else None, common)
    sessions = Sessions(time.monotonic)

    async def missing(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        return templates.page(request, "missing.html", status)

    return Starlette(
        routes=[
            Route("/", _home),
            *_line_routes(settings, link, templates, history),
            *_part_routes(settings, templates, history),
            *_threshold_routes(settings, templates),
            *_login_routes(settings, templates, sessions),
            Mount("/static", StaticFiles(directory=str(resources.files("edgeflow.web").joinpath("static")))),
        ],
        middleware=[Middleware(Guard, users=settings.users, sessions=sessions, hosts=settings.hosts)],
        exception_handlers={404: missing},
    )


def _line_routes(
    settings: PageSettings, link: BoxLink, templates: Templates, history: History
) -> list[BaseRoute]:
    figures = ShiftFigures(history=history, clock=utc_now)
    line = LinePage(link=link, templates=templates, figures=figures, views=tuple(settings.box.cameras))
    buttons = CommandButtons(config=settings.box, templates=templates)
    return [
        Route("/line", line.page),
        Route("/cameras", line.cameras),
        Route("/line/events", line.events),
        Route("/line/picture/{result_id}/{view}/{name}", line.picture),
        Route("/command/{verb}", buttons.command, methods=["POST"]),
    ]


def _part_routes(settings: PageSettings, templates: Templates, history: History) -> list[BaseRoute]:
    parts = PartsPage(history=history, templates=templates, clock=utc_now)
    review = ReviewPage(history=history, templates=templates, judge=partial(judge_part, settings.box))
    return [
        Route("/parts", parts.page),
        Route("/parts/trend", parts.trend),
        Route("/parts/table/{form}", parts.table),
        Route("/parts/{result_id}", parts.part),
        Route("/parts/{result_id}/picture/{view}/{name}", parts.picture),
        Route("/parts/{result_id}/label", for_role("operator", review.label_one), methods=["POST"]),
        Route("/review", review.page),
        Route("/review/label", for_role("operator", review.label), methods=["POST"]),
    ]


def _threshold_routes(settings: PageSettings, templates: Templates) -> list[BaseRoute]:
    page = ThresholdsPage(config=settings.box, templates=templates)
    return [
        Route("/thresholds", for_role("engineer", page.page)),
        Route("/thresholds/state", for_role("engineer", page.state)),
        Route("/thresholds/calculate", for_role("engineer", page.calculate), methods=["POST"]),
        Route("/thresholds/cancel", for_role("engineer", page.cancel), methods=["POST"]),
        Route("/thresholds/accept", for_role("engineer", page.accept), methods=["POST"]),
    ]


def _login_routes(settings: PageSettings, templates: Templates, sessions: Sessions) -> list[BaseRoute]:
    login = LoginPage(
        users=settings.users,
        sessions=sessions,
        templates=templates,
        secure=settings.secure,
        clock=time.monotonic,
    )
    return [
        Route("/login", login.show, methods=["GET"]),
        Route("/login", login.log_in, methods=["POST"]),
        Route("/logout", login.log_out, methods=["POST"]),
        Route("/language", login.language),
    ]


async def _home(_: Request) -> Response:
    return RedirectResponse("/line", 303)
