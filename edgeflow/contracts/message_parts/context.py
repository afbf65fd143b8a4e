"""The line's own fields of a part, carried from the trigger into decision and result."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

__all__ = ["MAX_CONTEXT_BYTES", "MAX_CONTEXT_ENTRIES", "Context", "Scalar", "context_bytes"]

MAX_CONTEXT_ENTRIES = 8
MAX_CONTEXT_BYTES = 512


def _within_bytes(context: dict[str, Any]) -> dict[str, Any]:
    size = context_bytes(context)
    if size > MAX_CONTEXT_BYTES:
        raise ValueError(f"has {size} bytes as JSON, at most {MAX_CONTEXT_BYTES} are carried")
    return context


def context_bytes(context: Mapping[str, object]) -> int:
    """Size of a context in bytes, as JSON without blanks in UTF-8."""
    text = json.dumps(context, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode("utf-8", "surrogatepass"))


Scalar = str | int | float | bool
Context = Annotated[
    dict[Annotated[str, Field(max_length=128)], Scalar],
    Field(
        max_length=MAX_CONTEXT_ENTRIES,
        description="what the trigger carried besides edgeflow's own fields",
    ),
    AfterValidator(_within_bytes),
]
