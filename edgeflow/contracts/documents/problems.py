"""Problems of a document in plain words: place, expected value, given value."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

__all__ = ["EXPECTED_TEXT", "MOST_PROBLEMS", "ON_COMMAND_LINE", "KeyPath", "first_problem", "problems_of"]

KeyPath = tuple[str | int, ...]

ON_COMMAND_LINE = 0
"""Line number of a value that is not from the file."""
EXPECTED_TEXT = "expected_text"
"""Type of an error whose message already says in words what was expected."""

MOST_PROBLEMS = 100
"""As many are described; a hostile document of a few megabytes can have hundreds of thousands."""

_SHOWN_CHARACTERS = 60
_CREDENTIALS = re.compile(r"//[^/\s]*@")
_EXPECTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a section of keys",
    "model_type": "a section of keys",
}
_WRONG_TAG = ("union_tag_invalid", "union_tag_not_found")
_LIMITS = {
    "greater_than": ("greater than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}


def problems_of(cause: ValidationError, model: type[BaseModel], lines: Mapping[KeyPath, int]) -> list[str]:
    """One sentence per problem: path and line, what is wrong, what is allowed, the nearest known key.

    Args:
        lines: line of each path, ``ON_COMMAND_LINE`` for a value that is not from the file.
    """
    sentences: list[str] = []
    unions: dict[KeyPath, list[ErrorDetails]] = {}
    for detail in _causes(cause.errors(include_url=False)[:MOST_PROBLEMS]):
        place = _locate(model, detail["loc"])
        if place.in_union:
            unions.setdefault(place.path, []).append(detail)
        else:
            sentences.append(_at((*place.path, *_wrong_tag_key(detail)), lines) + _wrong(detail, place))
    for path, details in unions.items():
        if any(other[: len(path)] == path != other for other in unions):
            continue  # of the type that was meant, something inside is wrong: that is told alone
        allowed = dict.fromkeys(_expected(detail) for detail in details)
        sentences.append(f"{_at(path, lines)}expected {_or(allowed)}{_given(details[0]['input'])}")
    more = cause.error_count() - MOST_PROBLEMS
    return [*sentences, f"and {more} more"] if more > 0 else sentences


def first_problem(cause: ValidationError) -> str:
    """Return the first problem without its place, of an object that was made from no file."""
    return str(cause.errors(include_url=False)[0]["msg"]).removeprefix("Value error, ")


def _expected(detail: ErrorDetails) -> str:
    """The expectation of one of several allowed types, in words."""
    if detail["type"] == "literal_error":
        return str(detail["ctx"]["expected"])
    if detail["type"] in _LIMITS:
        words, limit = _LIMITS[detail["type"]]
        return f"a number {words} {detail['ctx'][limit]:.12g}"
    return _EXPECTED.get(detail["type"], detail["msg"].removeprefix("expected "))


def _causes(details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without lists that are too short only because their entries are wrong."""
    locations = [detail["loc"] for detail in details]
    return [
        detail
        for detail in details
        if detail["type"] != "too_short"
        or not any(other[: len(detail["loc"])] == detail["loc"] != other for other in locations)
    ]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Place of a problem in a document.

    Attributes:
        path: as the user wrote it, without pydantic's own steps (union tags, ``[key]``).
        keys: the known keys of the section that the last step belongs to.
        annotation: type of the value there; None for an unknown key.
        in_union: whether the problem is with one of several types that are all allowed there.
    """

    path: KeyPath
    keys: tuple[str, ...]
    annotation: Any
    in_union: bool


def _locate(model: type[BaseModel], loc: KeyPath) -> _Place:
    """Follow pydantic's location through the model's types."""
    annotation: Any = model
    path: list[str | int] = []
    keys: tuple[str, ...] = ()
    in_union = False
    for step in loc:
        if step == "[key]" and path:
            continue
        annotation = _plain(annotation)
        choices = _choices(annotation)
        if choices:  # the step names the choice that pydantic tried; the user has not written it
            annotation = next((c for c in choices if step in _tags(c)), None)
            in_union = annotation is None
            continue
        fields = _fields(annotation)
        arguments = get_args(annotation)
        if fields is not None:
            keys, annotation = tuple(fields), fields.get(str(step))
        else:
            keys = ()
            annotation = arguments[-1 if get_origin(annotation) is dict else 0] if arguments else None
        path.append(step)
    return _Place(path=tuple(path), keys=keys, annotation=_plain(annotation), in_union=in_union)


def _plain(annotation: Any) -> Any:
    """A type without its annotations and without None."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, UnionType):
        others = [arg for arg in get_args(annotation) if arg is not type(None)]
        if len(others) == 1:
            return _plain(others[0])
    return annotation


def _choices(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else ()


def _fields(annotation: Any) -> dict[str, Any] | None:
    """Keys and types of a model, None for anything else."""
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return None
    return {info.alias or name: info.annotation for name, info in annotation.model_fields.items()}


def _tags(choice: Any) -> tuple[str, ...]:
    """Values of a model's discriminator, which stand for the model in the location of a problem."""
    kinds = [annotation for name, annotation in (_fields(choice) or {}).items() if name == "kind"]
    return tuple(str(value) for kind in kinds for value in get_args(kind))


def _at(path: KeyPath, lines: Mapping[KeyPath, int]) -> str:
    """The start of a sentence: path, and the line of the nearest part of it that has one."""
    if not path:
        return ""
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = ".".join(str(step) for step in path)
    if line is None:
        return f"{where}: "
    return f"{where} ({'--set' if line == ON_COMMAND_LINE else f'line {line}'}): "


def _wrong(detail: ErrorDetails, place: _Place) -> str:  # noqa: C901, PLR0911 - one line per kind of error
    kind, given, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"unknown key{_nearest(str(place.path[-1]), place.keys)}{_allowed(sorted(place.keys))}"
    if kind == "missing":
        return "an entry is missing" if isinstance(place.path[-1], int) else "required key is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _unknown_value(given, get_args(place.annotation))
    if kind in _WRONG_TAG:
        return _wrong_tag(given, _wrong_tag_key(detail)[0], place.annotation)
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}{_given(given)}{_cure(kind, given)}"
    if kind == EXPECTED_TEXT:
        return f"{detail['msg']}{_given(given)}{_cure('string_type', given)}"
    if kind == "string_pattern_mismatch":  # its message is a regular expression
        return f"is not of the form that belongs here{_given(given)}"
    if kind in _LIMITS:
        words, limit = _LIMITS[kind]
        return f"must be {words} {context[limit]:.12g}, got {_shown(given)}"
    if kind in ("too_short", "too_long"):
        return _wrong_length(kind, context)
    if kind == "string_too_short":
        return "must not be empty" if given == "" else f"needs at least {context['min_length']} characters"
    if kind == "json_invalid":  # its input is the whole document
        return f"not plain data: {context['error']}"
    return f"{detail['msg'][0].lower()}{detail['msg'][1:]}{_given(given)}"


def _wrong_length(kind: str, context: Mapping[str, Any]) -> str:
    words, limit = ("least", "min_length") if kind == "too_short" else ("most", "max_length")
    count = context[limit]
    return f"needs at {words} {count} {'entry' if count == 1 else 'entries'}, has {context['actual_length']}"


def _wrong_tag_key(detail: ErrorDetails) -> tuple[str, ...]:
    """The key that chooses between several models, where the problem is with that key."""
    return (str(detail["ctx"]["discriminator"]).strip("'"),) if detail["type"] in _WRONG_TAG else ()


def _wrong_tag(given: Any, key: str, annotation: Any) -> str:
    allowed = [tag for choice in _choices(annotation) for tag in _tags(choice)]
    if key in given:
        return _unknown_value(given[key], allowed)
    near = difflib.get_close_matches(key, [str(name) for name in given], n=1, cutoff=0.6)
    hint = f"; did you misspell it as '{near[0]}'?" if near else ""
    return f"required key is missing{hint}{_allowed(allowed)}"


def _unknown_value(given: Any, allowed: Iterable[Any]) -> str:
    values = [str(value) for value in allowed]
    if not isinstance(given, str) and str(given) in values:
        return f"expected '{given}' as text{_given(given)}; put it in quotes"
    near = _nearest(given, values) if isinstance(given, str) else ""
    return f"unknown value {_shown(given)}{near}{_allowed(values)}"


def _nearest(word: str, known: Iterable[str]) -> str:
    by_lower_case = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower_case, n=1, cutoff=0.6)
    return f"; did you mean '{by_lower_case[near[0]]}'?" if near else ""


def _allowed(values: Iterable[str]) -> str:
    listed = ", ".join(values)
    return f"; allowed: {listed}" if listed else ""


def _cure(kind: str, given: Any) -> str:
    """A suggestion for a correction, where there is one."""
    if kind == "string_type" and isinstance(given, int | float):
        return "; put it in quotes"
    if kind in ("list_type", "tuple_type") and isinstance(given, str):
        return f"; write [{_shortened(given)}]"
    numeric = kind in ("int_type", "float_type") and isinstance(given, str)
    return "; remove the quotes" if numeric and re.fullmatch(r"-?(0|[1-9]\d*)", given) else ""


def _given(value: Any) -> str:
    """The given value, with its type where that is not obvious."""
    if isinstance(value, str):
        return f", got {_shown(value)} (text)"
    numeric = isinstance(value, int | float) and not isinstance(value, bool)
    return f", got {_shown(value)}{' (a number)' if numeric else ''}"


def _shown(value: Any) -> str:
    if isinstance(value, Mapping | list):
        return "a section" if isinstance(value, Mapping) else "a list"
    if isinstance(value, str):
        return f"'{_shortened(value)}'"
    if isinstance(value, bool):
        return str(value).lower()
    return "nothing" if value is None else _shortened(str(value))


def _shortened(text: str) -> str:
    """Fit for a log: never the credentials of a URL, one line, no more than needed to find it."""
    text = " ".join(_CREDENTIALS.sub("//…@", text).split())
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def _or(words: Iterable[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} or {last}" if others else last
