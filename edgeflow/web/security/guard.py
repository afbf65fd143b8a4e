"""Checks of every request before a page sees it, and the headers of every answer."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from urllib.parse import quote, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edgeflow.errors import StorageError
from edgeflow.security.users import Users
from edgeflow.web.security.sessions import Session, Sessions

__all__ = ["COOKIE", "CSRF_HEADER", "LOCAL_USER", "MOST_BYTES", "Guard"]

COOKIE = "edgeflow-session"
CSRF_HEADER = "x-csrf-token"
LOCAL_USER = "local"
_LOCAL_TOKEN = secrets.token_urlsafe(32)
_OPEN = ("/static/", "/login", "/language")
_SAFE = ("GET", "HEAD")
MOST_BYTES = 64 * 1024
"""Of the body of a request."""

_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class Guard:
    """Lets a request through only if host, origin, session and token are right.

    Without users, whoever reaches the page is ``local`` and may everything; the page then listens on this
    computer alone, and the host name is checked so that no foreign site can name it.

    Args:
        hosts: host names that requests may name; None: any.
    """

    def __init__(
        self, app: ASGIApp, *, users: Users, sessions: Sessions, hosts: Collection[str] | None
    ) -> None:
        self._app = app
        self._users = users
        self._sessions = sessions
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if not request.url.path.startswith("/static/") and "cache-control" not in headers:
                    headers["cache-control"] = "no-store"
            await send(message)

        try:
            refusal = self._refusal(request)
        except StorageError as cause:
            refusal = PlainTextResponse(cause.message, 503)
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        """Return the answer to a request that is not let through; None for one that is."""
        changes = request.method not in _SAFE
        if (refusal := self._unfit(request)) is not None:
            return refusal
        session = self._session(request)
        request.state.session = session
        if request.url.path.startswith(_OPEN):
            return None
        if session is None:
            return _to_login(request)
        given = request.headers.get(CSRF_HEADER, "")
        if changes and not secrets.compare_digest(given.encode(), session.csrf.encode()):
            return PlainTextResponse("refused: the page is too old; load it again", 403)
        return None

    def _unfit(self, request: Request) -> Response | None:
        """Return the answer to a request that no session could make right."""
        if self._hosts is not None and (request.url.hostname or "") not in self._hosts:
            return PlainTextResponse("this name is not the box's: add it to web.names in the box file", 421)
        length = request.headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            return PlainTextResponse("too large", 413)
        if request.method not in _SAFE and _is_foreign(request):
            return PlainTextResponse("refused: the request comes from another site", 403)
        return None

    def _session(self, request: Request) -> Session | None:
        users = self._users.all()
        if not users:
            return Session(user=LOCAL_USER, role="engineer", csrf=_LOCAL_TOKEN)
        session = self._sessions.find(request.cookies.get(COOKIE, ""))
        if session is None or session.user not in users:
            return None
        role = users[session.user].role  # as it is now
        return Session(user=session.user, role=role, csrf=session.csrf)


def _is_foreign(request: Request) -> bool:
    """Return True if a browser says that another site sent this request."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return True
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != request.headers.get("host")


def _to_login(request: Request) -> Response:
    if request.method == "GET" and "text/html" in request.headers.get("accept", ""):
        return RedirectResponse(f"/login?next={quote(request.url.path)}", 303)
    return PlainTextResponse("log in first", 401)
