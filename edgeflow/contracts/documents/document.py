"""Strict documents: frozen models, and one report of everything that is wrong with one."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from edgeflow.contracts.documents.problems import EXPECTED_TEXT, MOST_PROBLEMS, KeyPath, problems_of
from edgeflow.errors import EdgeflowError

__all__ = ["Document", "Growing", "Text", "file_schema", "parse_document"]

_READING = "of a newer edgeflow, perhaps"


class Document(BaseModel):
    """Base of every model of an external document: unknown keys and wrong types are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class Text:
    """Annotation of a ``str``: the pattern that it matches, and the same in words for whoever writes it."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The schema of text with this pattern, whose one error is in words."""
        return core_schema.custom_error_schema(
            core_schema.str_schema(pattern=self.pattern, strict=True),
            custom_error_type=EXPECTED_TEXT,
            custom_error_message=f"expected {self.words}",
        )


@dataclass(frozen=True, kw_only=True)
class Growing:
    """Annotation of a ``Literal`` of codes that later versions add to.

    Only known codes can be written. A reader takes any code of this form, as it ignores unknown keys.
    """

    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The known codes; a reader's unknown ones are let through as they are."""

        def let_through(
            value: Any, known: core_schema.ValidatorFunctionWrapHandler, info: core_schema.ValidationInfo
        ) -> Any:
            reading = bool(info.context and info.context.get(_READING))
            if reading and isinstance(value, str) and re.fullmatch(self.pattern, value):
                return value
            return known(value)

        return core_schema.with_info_wrap_validator_function(let_through, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The known codes, and any other of this form."""
        return {"anyOf": [handler(schema), {"type": "string", "pattern": f"^{self.pattern}$"}]}


D = TypeVar("D", bound=Document)


def parse_document(
    model: type[D],
    data: object,
    *,
    what: str,
    error: type[EdgeflowError],
    lines: Mapping[KeyPath, int] | None = None,
    unknown: Literal["forbid", "ignore"] = "forbid",
) -> D:
    """Validate plain data (as read from YAML or JSON) against a model.

    Args:
        data: dicts, lists, strings, numbers, booleans, None.
        what: the document's name for the report, for instance ``box.yaml``.
        error: the error class to raise.
        lines: line number of each path, where the source has lines.
        unknown: ``ignore`` for a document that a newer edgeflow may have written with more keys.

    Raises:
        EdgeflowError: of class ``error``, carrying every problem with its path.
    """
    problems: list[str] = []
    try:
        text = json.dumps(data, allow_nan=False)
    except (TypeError, ValueError) as cause:
        # Deep enough nesting is more than a generator per level can follow.
        with contextlib.suppress(RecursionError):
            problems = list(islice(_not_finite(data, ""), MOST_PROBLEMS))
        problems = problems or [f"not plain data: {cause}"]
        raise error(f"{what}: {_count(problems)}", problems=problems) from cause
    except RecursionError as cause:
        raise error(f"{what}: nested too deep for any document of edgeflow") from cause
    try:
        # JSON mode is strict about types, yet reads lists into tuples and strings into paths.
        return model.model_validate_json(text, extra=unknown, context={_READING: unknown == "ignore"})
    except ValidationError as cause:
        problems = problems_of(cause, model, lines or {})
        raise error(f"{what}: {_count(problems)}", problems=problems) from cause


def _count(problems: list[str]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def _not_finite(data: object, path: str) -> Iterator[str]:
    """Numbers that JSON does not have, each with its path."""
    if isinstance(data, float) and not math.isfinite(data):
        yield f"{path or 'value'}: must be a finite number, got {data}"
    children = data.items() if isinstance(data, dict) else enumerate(data if isinstance(data, list) else ())
    for key, value in children:
        yield from _not_finite(value, f"{path}.{key}" if path else str(key))


def file_schema(model: type[BaseModel]) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a file that people write, for editors."""
    schema: dict[str, Any] = _without_key_titles(model.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": model.__name__, **schema}


def _without_key_titles(schema: Any) -> Any:
    """A schema without the titles that pydantic makes of key names, which only repeat them."""
    if isinstance(schema, list):
        return [_without_key_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_key_titles(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
    }
