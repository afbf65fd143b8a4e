"""Ranges of what convolutions read, over all calibration parts: smallest to largest value, with headroom."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from edgeflow_export.conversion.int8.passes import Passes

__all__ = ["Range", "find_ranges"]

LEVELS = 255


@dataclass(frozen=True, kw_only=True)
class Range:
    """Values that 8 bits cover. Zero is one of them exactly: it is what convolutions pad with."""

    low: float
    high: float

    @property
    def scale(self) -> float:
        """Step between two of them, a float32 value."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        return float(np.float32(max(high - low, 1e-8) / LEVELS))

    @property
    def zero_point(self) -> int:
        """The integer that stands for 0."""
        return int(np.clip(np.rint(-min(self.low, 0.0) / self.scale), 0, LEVELS))

    def widened(self, factor: float) -> Range:
        """A range so many times as wide, on both sides of 0."""
        return Range(low=self.low * factor, high=self.high * factor)


def find_ranges(
    model: onnx.ModelProto,
    tensors: Sequence[str],
    passes: Passes,
    unsettled: Collection[str] | None = None,
) -> dict[str, Range]:
    """Smallest and largest value of tensors over all parts.

    Both are found inside the graph, so that no tensor leaves it as a whole.

    Args:
        unsettled: where the next run may start; see :meth:`~Passes.observe`.
    """
    if not tensors:
        return {}
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    names = {}
    for place, tensor in enumerate(tensors):
        names[tensor] = (f"least_{place}", f"largest_{place}")
        for kind, name in zip(("ReduceMin", "ReduceMax"), names[tensor], strict=True):
            watched.graph.node.append(onnx.helper.make_node(kind, [tensor], [name], name=name, keepdims=0))
    found: dict[str, Range] = {}
    for values in passes.observe(watched, [name for both in names.values() for name in both], unsettled):
        for tensor, (least, largest) in names.items():
            low, high = float(values[least].min()), float(values[largest].max())
            known = found.get(tensor, Range(low=low, high=high))
            found[tensor] = Range(low=min(low, known.low), high=max(high, known.high))
    return found
