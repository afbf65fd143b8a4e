"""Templates of the page: one environment per language, with the words and numbers of that language."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from edgeflow.security.users import ROLES
from edgeflow.web.language import LANGUAGES, Translations, language_of, translations
from edgeflow.web.message_table import ADVICE, REASONS, STATES, VERDICTS

__all__ = ["Templates", "local_time"]


def local_time(text: str | datetime, zone: tzinfo | None, form: str = "%H:%M:%S") -> str:
    """Return a UTC time in the site's time zone.

    Args:
        zone: None: the computer's own.
    """
    moment = text if isinstance(text, datetime) else datetime.fromisoformat(text[:19] + "+00:00")
    return moment.astimezone(zone).strftime(form)


class Templates:
    """Makes HTML in the language of a request.

    Args:
        zone: of the site; None: the computer's own.
        common: values that every template sees.
    """

    def __init__(self, zone: tzinfo | None, common: Mapping[str, Any]) -> None:
        self._zone = zone
        self._common = dict(common)
        self._environment = functools.cache(self._make)

    def render(self, language: str, name: str, **values: Any) -> str:
        """Return a template's text."""
        return self._environment(language).get_template(name).render(**values)

    def page(self, request: Request, name: str, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a whole page, with the session of its user."""
        language, session = language_of(request), request.state.session
        text = self.render(
            language,
            name,
            session=session,
            path=request.url.path,
            may=functools.partial(_may, session.role if session else None),
            **values,
        )
        return HTMLResponse(text, status)

    def _make(self, language: str) -> Environment:
        environment = Environment(
            loader=PackageLoader("edgeflow.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
        )
        words = translations(language)
        environment.install_gettext_translations(words, newstyle=True)  # type: ignore[attr-defined]
        number = functools.partial(_number, comma=language == "de")
        environment.filters.update(
            clock=lambda text: local_time(text, self._zone),
            minute=lambda text: local_time(text, self._zone, "%H:%M"),
            moment=lambda text: local_time(text, self._zone, "%Y-%m-%d %H:%M:%S"),
            number=number,
            share=lambda value: f"{number(100 * value, 1)} %",
            verdict=lambda name: words.gettext(VERDICTS.get(name, name)),
            state=lambda name: words.gettext(STATES.get(name, name)),
            reason=lambda code: words.gettext(REASONS[code]) if code in REASONS else str(code or ""),
            advice=functools.partial(_advice, words),
        )
        environment.globals.update(self._common, language=language, languages=LANGUAGES)
        return environment


def _number(value: float | None, digits: int = 2, *, comma: bool) -> str:
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace(".", ",") if comma else text


def _advice(words: Translations, alarm: Mapping[str, Any]) -> Mapping[str, str]:
    """Return ``title`` and ``action`` of an alarm; a code that this page does not know keeps its own text."""
    advice = ADVICE.get(alarm["code"])
    if advice is None:
        return {"title": str(alarm["text"]), "action": ""}
    title = words.gettext(advice.title).replace("{subject}", str(alarm["subject"]))
    return {"title": title, "action": words.gettext(advice.action)}


def _may(role: str | None, wanted: str) -> bool:
    return role is not None and ROLES.index(role) >= ROLES.index(wanted)
