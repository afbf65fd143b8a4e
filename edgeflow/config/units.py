"""Values that several sections of a box file share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["Milliseconds", "PolicyVerdict"]

Milliseconds = Annotated[float, Field(gt=0, le=3_600_000)]
PolicyVerdict = Literal["undecided", "ng"]
