"""Names of products: one form for each, whoever writes it."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable

from edgeflow.contracts.sealing import number_text

__all__ = ["LONGEST", "alike", "name_problem", "normal_name", "product_text", "shown_name"]

LONGEST = 64
"""Characters of a name."""
_SHOWN = 40
_DECIMAL = re.compile(r"[0-9]+\.[0-9]+")
_REFUSED = "/+#$"  # a name is a level of topics


def normal_name(text: str) -> str:
    """Return a name in the Unicode form NFC: letters with accents are one character."""
    return unicodedata.normalize("NFC", text)


def name_problem(name: str) -> str:
    """Return why a text is no name of a product; empty where it is one."""
    if not 1 <= len(name) <= LONGEST:
        return f"must have 1 to {LONGEST} characters"
    if name != name.strip():
        return "begins or ends with a space"
    if not name.isprintable():
        return "has characters that cannot be seen"
    if set(name) & set(_REFUSED):
        return f"has one of {' '.join(_REFUSED)}, which are not allowed"
    return ""


def alike(names: Iterable[str]) -> list[tuple[str, ...]]:
    """Return names that people and controllers would take for one.

    They differ by case, by Unicode form, or by the zeros of one number: 1 and 1.0.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        key = unicodedata.normalize("NFKC", name).casefold()
        if _DECIMAL.fullmatch(key):
            key = key.rstrip("0").removesuffix(".")
        groups.setdefault(key, []).append(name)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def product_text(value: object) -> str | None:
    """Return the name that a controller means by a value: 1 and 1.0 are "1"; None where it is no name.

    NUL padding is removed; nothing else is: a name is compared as it is written.
    """
    if isinstance(value, str):
        return normal_name(value.rstrip("\0")) or None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return number_text(value) if isinstance(value, float) else str(value)


def shown_name(text: str) -> str:
    """Return a name of anybody's as a message and a terminal can bear it: short, and nothing that steers."""
    shown = "".join(letter if letter.isprintable() else "?" for letter in text[:_SHOWN])
    return f"{shown}…" if len(text) > _SHOWN else shown
