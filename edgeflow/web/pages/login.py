"""Logging in and out, and the choice of the language."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from edgeflow.security.attempts import Attempts
from edgeflow.security.users import Users
from edgeflow.web.language import COOKIE as LANGUAGE_COOKIE
from edgeflow.web.language import LANGUAGES
from edgeflow.web.requests import form_of
from edgeflow.web.security.guard import COOKIE
from edgeflow.web.security.sessions import Sessions
from edgeflow.web.templating import Templates

__all__ = ["LoginPage"]

_YEAR_S = 365 * 24 * 3600


@dataclass(frozen=True, kw_only=True)
class LoginPage:
    """Page that asks for name and password.

    Attributes:
        secure: the page is served over TLS, and so are its cookies.
        clock: monotonic, in seconds.
    """

    users: Users
    sessions: Sessions
    templates: Templates
    secure: bool
    clock: Callable[[], float]
    attempts: Attempts = field(default_factory=Attempts)

    async def show(self, request: Request) -> Response:
        """Return the form."""
        return self._form(request, "")

    async def log_in(self, request: Request) -> Response:
        """Begin a session where the password is right."""
        form = await form_of(request)
        name, password = form.get("name", "")[:64], form.get("password", "")[:1024]
        address = request.client.host if request.client else ""
        keys = (f"name {name}", f"address {address}")
        if (wait_s := self.attempts.wait_s(keys, self.clock())) > 0:
            response = self._form(request, "wait", 429)
            response.headers["retry-after"] = str(round(wait_s) + 1)
            return response
        user = await asyncio.to_thread(self.users.check, name, password)
        if user is None:
            self.attempts.failed(keys, self.clock())
            return self._form(request, "wrong", 403)
        token, _ = self.sessions.begin(user.name, user.role)
        answer = RedirectResponse(_own_path(form.get("next", "")), 303)
        answer.set_cookie(COOKIE, token, secure=self.secure, httponly=True, samesite="strict")
        return answer

    async def log_out(self, request: Request) -> Response:
        """End the session."""
        self.sessions.end(request.cookies.get(COOKIE, ""))
        answer = Response(status_code=204, headers={"hx-redirect": "/login"})
        answer.delete_cookie(COOKIE)
        return answer

    async def language(self, request: Request) -> Response:
        """Keep the language that was chosen, and go back."""
        answer = RedirectResponse(_own_path(request.query_params.get("next", "")), 303)
        if (chosen := request.query_params.get("to", "")) in LANGUAGES:
            answer.set_cookie(LANGUAGE_COOKIE, chosen, max_age=_YEAR_S, secure=self.secure, samesite="lax")
        return answer

    def _form(self, request: Request, problem: str, status: int = 200) -> Response:
        next_path = _own_path(request.query_params.get("next", ""))
        return self.templates.page(request, "login.html", status, problem=problem, next_path=next_path)


def _own_path(text: str) -> str:
    """Return a path of this page: never another site."""
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) and text.isascii() else "/"
