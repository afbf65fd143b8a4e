"""Trigger messages as other people's controllers write them, brought to one form; no value is guessed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from edgeflow.contracts.message_parts.context import (
    MAX_CONTEXT_BYTES,
    MAX_CONTEXT_ENTRIES,
    Scalar,
    context_bytes,
)
from edgeflow.contracts.sealing import number_text

__all__ = ["TRIGGER_KEYS", "TidyTrigger", "tidy_trigger", "utc_form"]

TRIGGER_KEYS = ("schema", "trigger_id", "part_id", "encoder", "at")
_CONTEXT = "context"
_EXACT = 2**53 - 1  # integers beyond it are not exact in every language
_ENCODER_LIMIT = 2**63
_MAX_KEY = 128
_NUMBER = re.compile(r"[+-]?\d{1,400}(\.\d{1,30})?")
_RFC_3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d):(\d\d)(?:\.(\d+))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)
_DIGITS = 9  # of a second


@dataclass(frozen=True, kw_only=True)
class TidyTrigger:
    """A trigger's fields in the form of its model, and what was not used of the message.

    Attributes:
        notes: one sentence for each key whose value was not used.
    """

    fields: dict[str, Any]
    notes: tuple[str, ...]


def tidy_trigger(data: Mapping[str, Any]) -> TidyTrigger:
    """Ids as text, times in UTC, padding removed; what edgeflow does not know becomes the context.

    What cannot be read stays as it is, so that the model refuses it by name.
    """
    notes: list[str] = []
    fields: dict[str, Any] = {key: _known(key, data[key], notes) for key in TRIGGER_KEYS if key in data}
    given = data.get(_CONTEXT)
    more = given if isinstance(given, Mapping) else {}
    candidates = [(k, v) for k, v in data.items() if k not in TRIGGER_KEYS and (k != _CONTEXT or not more)]
    context = _context([*candidates, *more.items()], notes)
    if context:
        fields[_CONTEXT] = context
    return TidyTrigger(fields={k: v for k, v in fields.items() if v is not None}, notes=tuple(notes))


def utc_form(text: str) -> str | None:
    """A time of RFC 3339, with any offset, as UTC with ``Z`` and a fraction; None where it is none."""
    match = _RFC_3339.fullmatch(text)
    if match is None:
        return None
    day, minute, second, fraction, _, sign, hours, minutes = match.groups()
    leap = second == "60"
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    if offset >= timedelta(days=1) or int(minutes or 0) > 59:
        return None
    try:
        moment = datetime.fromisoformat(f"{day}T{minute}:{'59' if leap else second}").replace(tzinfo=UTC)
        moment = moment + timedelta(seconds=leap) - (offset if sign == "+" else -offset)
    except (ValueError, OverflowError):
        return None
    return f"{moment.isoformat()[:19]}.{(fraction or '0')[:_DIGITS]}Z"


def _known(key: str, value: Any, notes: list[str]) -> Any:
    if isinstance(value, str):
        value = value.rstrip("\0")
        if not value and key != "trigger_id":
            return None
    if key in ("trigger_id", "part_id"):
        return _name(value)
    if key == "encoder":
        return _position(value, notes)
    if key == "at" and isinstance(value, str):
        return utc_form(value) or value
    return value


def _name(value: Any) -> Any:
    """A number as text: 1 and 1.0 are the name "1"."""
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return number_text(value) if isinstance(value, float) else str(value)
    return value


def _position(value: Any, notes: list[str]) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        text = value.strip()
        value = float(text) if "." in text else int(text)
    if isinstance(value, float) and math.isfinite(value):
        value = round(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= _ENCODER_LIMIT:
        notes.append("'encoder' is beyond 64 bits: the trigger counts, its position does not")
        return None
    return value


def _context(entries: list[tuple[str, Any]], notes: list[str]) -> dict[str, Scalar]:
    """Fields that are carried: single values, as many as fit, in the order of the message."""
    context: dict[str, Scalar] = {}
    left_out: list[str] = []
    for key, value in _scalars(entries, notes):
        wider = {**context, key: value}
        if len(wider) > MAX_CONTEXT_ENTRIES or context_bytes(wider) > MAX_CONTEXT_BYTES:
            left_out.append(_shown(key))
        else:
            context = wider
    if left_out:
        notes.append(
            f"{_quoted(left_out)}: left out, at most {MAX_CONTEXT_ENTRIES} values and {MAX_CONTEXT_BYTES} "
            "bytes are carried"
        )
    return context


def _scalars(entries: list[tuple[str, Any]], notes: list[str]) -> Iterator[tuple[str, Scalar]]:
    for key, given in entries:
        value = given.rstrip("\0") if isinstance(given, str) else given
        meant = _meant(key)
        if meant is not None:
            notes.append(f"'{_shown(key)}' is not used; write '{meant}' if that is meant")
            continue
        if value is None:
            continue
        if not _is_scalar(value) or not key or len(key) > _MAX_KEY or not _is_text(key):
            notes.append(f"'{_shown(key)}' is not carried: only text, numbers, true and false are")
        elif isinstance(value, int) and abs(value) > _EXACT:
            yield key, str(value)
        else:
            yield key, value


def _is_scalar(value: Any) -> bool:
    if isinstance(value, str):
        return _is_text(value)
    if isinstance(value, float):
        return math.isfinite(value)
    return isinstance(value, int)


def _is_text(text: str) -> bool:
    """True if it can be written as UTF-8; JSON can spell half a character, which cannot."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _meant(key: str) -> str | None:
    """The known key that this one is taken to be a slip of: by case, ``_``, a blank or one letter."""
    short = _squeezed(key)
    for known in TRIGGER_KEYS:
        if _differ_by_one(short, _squeezed(known)) or _differ_by_one(key.lower(), known):
            return known
    return None


def _squeezed(key: str) -> str:
    return re.sub(r"[_\s\0]", "", key).lower()


def _differ_by_one(one: str, other: str) -> bool:
    """True if two words are equal but for one letter that is other, missing, added, or two exchanged."""
    if abs(len(one) - len(other)) > 1:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        return True
    left, right = one[start:], other[start:]
    swapped = left[:2] == right[1::-1] and left[2:] == right[2:]
    return left[1:] == right[1:] or left[1:] == right or left == right[1:] or swapped


def _shown(key: str) -> str:
    """A key for people: not too long, and nothing that steers a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in key[:40])


def _quoted(words: list[str]) -> str:
    shown = ", ".join(f"'{word}'" for word in words[:3])
    return f"{shown} and {len(words) - 3} more" if len(words) > 3 else shown
