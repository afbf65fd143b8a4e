"""Buttons of the page: commands to the running box, in the name of the page's user."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response

from edgeflow.commands.control_socket import ask
from edgeflow.config.box import BoxConfig
from edgeflow.errors import EdgeflowError
from edgeflow.security.users import ROLES, Role
from edgeflow.web.language import language_of
from edgeflow.web.requests import form_of
from edgeflow.web.templating import Templates

__all__ = ["CommandButtons", "bundle_names"]

_ROLES: Mapping[str, Role] = {
    "start": "operator",
    "stop": "operator",
    "reset": "operator",
    "snapshot": "operator",
    "reload": "engineer",
    "rollback": "engineer",
    "product": "operator",
}
_FIELDS: Mapping[str, tuple[str, ...]] = {
    "reload": ("bundle", "product"),
    "rollback": ("product",),
    "product": ("name",),
}


def bundle_names(config: BoxConfig) -> list[str]:
    """Return the names of the bundle files beside the present one, or beside those of all products."""
    try:
        folders = {product.bundle.parent for product in (config.products or {}).values()}
        files = [file for folder in folders or {config.bundle.parent} for file in folder.glob("*.bundle")]
        return sorted({file.name for file in files if not file.is_symlink()})
    except OSError:
        return []


@dataclass(frozen=True, kw_only=True)
class CommandButtons:
    """Carries out a button's command; the box authorises, records and answers it as any other."""

    config: BoxConfig
    templates: Templates

    async def command(self, request: Request) -> Response:
        """Carry out ``/command/{verb}``, and return the box's answer as part of the page."""
        verb = request.path_params["verb"]
        role = _ROLES.get(verb)
        if role is None:
            return PlainTextResponse("no such command", 404)
        session = request.state.session
        if ROLES.index(session.role) < ROLES.index(role):
            return PlainTextResponse(f"refused: this needs the role {role}", 403)
        form = await form_of(request)
        arguments = {name: form[name] for name in _FIELDS.get(verb, ()) if form.get(name)}
        try:
            answer = await asyncio.to_thread(
                ask, self.config.control_socket, verb, arguments, user=session.user
            )
            outcome, text = answer["reply"]["outcome"], answer["reply"]["text"]
        except EdgeflowError as cause:
            outcome, text = "failed", cause.message
        language = language_of(request)
        return HTMLResponse(
            self.templates.render(language, "answer.html", verb=verb, outcome=outcome, text=text)
        )
