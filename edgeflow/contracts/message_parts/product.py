"""Product of a part in messages; a box with one bundle writes none, as before there were products."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

__all__ = ["Product"]


def _is_none(value: object) -> bool:
    return value is None


Product = Annotated[
    str | None,
    Field(
        exclude_if=_is_none,
        description="of a box with several products; absent where it is unknown, or the box has one bundle",
    ),
]
