"""Values that several sections of a recipe share."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

__all__ = ["Fraction", "Positive", "Precision"]

Positive = Annotated[int, Field(gt=0)]

Fraction = Annotated[float, Field(gt=0.0, lt=1.0)]

Precision = Literal["fp32", "bf16", "int8"]
