"""Choices of a quantization to INT8."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgeflow_export.recipe import ExportSpec

__all__ = ["FULL_RANGE", "HALF_RANGE", "Int8Options"]

HALF_RANGE, FULL_RANGE = 64, 127
"""Largest integer of a weight. Two products of half-range weights with 8-bit activations fit 16 bits:
2 x 255 x 64 = 32,640; with the full range, processors without VNNI overflow."""


@dataclass(frozen=True, kw_only=True)
class Int8Options:
    """Choices of a quantization.

    Attributes:
        weights: range of the integers that weights become.
        rounding: of the extractor's weights; ``nearest`` leaves the convolutions of the image in float.
        headroom: factor on the ranges of what the flow's convolutions read: defects go beyond what normal
            parts show.
        equalise: balance the channels between the extractor's convolutions first.
    """

    weights: Literal["half", "full"] = "half"
    rounding: Literal["second_order", "nearest"] = "second_order"
    headroom: float = 3.0
    equalise: bool = False

    @classmethod
    def of(cls, spec: ExportSpec) -> Int8Options:
        """The choices of a recipe."""
        return cls(
            weights=spec.weights, rounding=spec.rounding, headroom=spec.headroom, equalise=spec.equalise
        )

    @property
    def limit(self) -> int:
        """Largest integer of a weight."""
        return HALF_RANGE if self.weights == "half" else FULL_RANGE

    @property
    def identity(self) -> str:
        """All choices in words, and what every graph has besides: kept results of before have it not."""
        chosen = f"{self.weights} {self.rounding} {self.headroom:g}{' equalised' if self.equalise else ''}"
        return f"{chosen}, squeezes in 8 bits"
