"""Small things that pages need of a request: its form, and the role of its user."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from edgeflow.security.users import ROLES, Role
from edgeflow.web.security.guard import MOST_BYTES

__all__ = ["Endpoint", "fields_of", "for_role", "form_of"]

_MOST_FIELDS = 500

Endpoint = Callable[[Request], Awaitable[Response]]


async def form_of(request: Request) -> dict[str, str]:
    """Read a form; the last value of a name counts.

    Raises:
        HTTPException: it is too large, or no text.
    """
    return dict(await fields_of(request))


async def fields_of(request: Request) -> list[tuple[str, str]]:
    """Read a form as its fields, in order; a name may come several times.

    Raises:
        HTTPException: it is too large, or no text.
    """
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BYTES:
            raise HTTPException(413)
    try:
        return parse_qsl(body.decode("ascii"), max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as cause:
        raise HTTPException(400) from cause


def for_role(role: Role, endpoint: Endpoint) -> Endpoint:
    """Let users with at least this role through."""

    @functools.wraps(endpoint)
    async def checked(request: Request) -> Response:
        session = request.state.session
        if session is None or ROLES.index(session.role) < ROLES.index(role):
            return PlainTextResponse(f"refused: this needs the role {role}", 403)
        return await endpoint(request)

    return checked
