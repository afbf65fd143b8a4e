"""Strict documents: frozen models, and one report of everything that is wrong with one."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from edgeflow.errors import EdgeflowError

__all__ = ["Document", "parse_document", "problems_of"]


class Document(BaseModel):
    """Base of every model of an external document: unknown keys and wrong types are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


D = TypeVar("D", bound=Document)


def parse_document(
    model: type[D],
    data: object,
    *,
    what: str,
    error: type[EdgeflowError],
    lines: Mapping[tuple[str | int, ...], int] | None = None,
) -> D:
    """Validate plain data (as read from YAML or JSON) against a model.

    Args:
        data: dicts, lists, strings, numbers, booleans, None.
        what: the document's name for the report, for instance ``box.yaml``.
        error: the error class to raise.
        lines: line number of each path, where the source has lines.

    Raises:
        EdgeflowError: of class ``error``, carrying every problem with its path.
    """
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as cause:
        raise error(f"{what}: holds a value that is not plain data: {cause}") from cause
    try:
        # JSON mode is strict about types, yet reads lists into tuples and strings into paths.
        return model.model_validate_json(text)
    except ValidationError as cause:
        problems = problems_of(cause, model, lines or {})
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise error(f"{what}: {count}", problems=problems) from cause


def problems_of(
    cause: ValidationError, model: type[BaseModel], lines: Mapping[tuple[str | int, ...], int]
) -> list[str]:
    """One sentence per problem: path, what is wrong, what is allowed, the nearest known key."""
    return [_sentence(detail, model, lines) for detail in cause.errors(include_url=False)]


def _sentence(
    detail: ErrorDetails, model: type[BaseModel], lines: Mapping[tuple[str | int, ...], int]
) -> str:
    fields, path = _resolve(model, detail["loc"])
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = ".".join(str(step) for step in path) + (f" (line {line})" if line else "")
    if detail["type"] == "extra_forbidden":
        return f"{where}: unknown key{_suggestion(str(path[-1]), fields)}"
    if detail["type"] == "missing":
        return f"{where}: required key is missing"
    message = detail["msg"][0].lower() + detail["msg"][1:]
    if message.startswith("value error, "):
        message = message.removeprefix("value error, ")
    given = "" if isinstance(detail["input"], dict | list) else f", got {detail['input']!r}"
    return f"{where or 'document'}: {message}{given}"


def _suggestion(key: str, fields: list[str]) -> str:
    near = difflib.get_close_matches(key, fields, n=1, cutoff=0.6)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return f"{hint}; allowed: {', '.join(sorted(fields))}" if fields else hint


def _resolve(model: type[BaseModel], loc: tuple[str | int, ...]) -> tuple[list[str], tuple[str | int, ...]]:
    """The keys allowed where a problem sits, and its path without pydantic's union tags."""
    candidates: list[type[BaseModel]] = [model]
    path: list[str | int] = []
    fields: list[str] = []
    for step in loc:
        owners = [c for c in candidates if step in _names(c)]
        if owners:
            fields = [name for c in candidates for name in _names(c)]
            candidates = [m for c in owners for m in _models_in(_names(c)[str(step)])]
            path.append(step)
            continue
        tagged = [c for c in candidates if step in (c.__name__, _tag_of(c))]
        if tagged:  # a discriminated union's tag: not part of the user's path
            candidates = tagged
            continue
        fields = [name for c in candidates for name in _names(c)]
        path.append(step)
    return fields, tuple(path)


def _names(model: type[BaseModel]) -> dict[str, Any]:
    return {(info.alias or name): info.annotation for name, info in model.model_fields.items()}


def _tag_of(model: type[BaseModel]) -> str | None:
    info = model.model_fields.get("kind")
    args = get_args(info.annotation) if info else ()
    return str(args[0]) if args else None


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for arg in get_args(annotation) for found in _models_in(arg)]
