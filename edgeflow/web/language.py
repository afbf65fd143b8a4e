"""Languages of the page: gettext's catalogues, and the choice for one request."""

from __future__ import annotations

import functools
import gettext
from importlib import resources

from starlette.requests import Request

__all__ = ["LANGUAGES", "Translations", "language_of", "translations"]

LANGUAGES = {"en": "English", "de": "Deutsch"}
"""Code → its name in its own words; the texts in the program are the English ones."""

COOKIE = "edgeflow-language"
Translations = gettext.NullTranslations


@functools.cache
def translations(language: str) -> Translations:
    """Return the catalogue of a language; texts that it lacks stay English."""
    if language == "en":
        return gettext.NullTranslations()
    with resources.as_file(resources.files("edgeflow.web").joinpath("locale")) as folder:
        return gettext.translation("page", folder, [language], fallback=True)


def language_of(request: Request) -> str:
    """Return the language that the user chose, else the first one of the browser that there is."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    for wanted in request.headers.get("accept-language", "").split(","):
        code = wanted.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"
