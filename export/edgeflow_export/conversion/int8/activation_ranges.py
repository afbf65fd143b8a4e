"""Ranges of what convolutions read, over all calibration parts: smallest to largest value, with headroom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def find_ranges(model: onnx.ModelProto, tensors: Sequence[str], passes: Passes) -> dict[str, Range]:
    """Smallest and largest value of tensors over all parts.

    Both are found inside the graph, as soon as a tensor is computed: none leaves it as a whole, and none is
    held for longer than the graph itself holds it.
    """
    if not tensors:
        return {}
    names = {tensor: (f"least_{place}", f"largest_{place}") for place, tensor in enumerate(tensors)}
    watched = _watched(model, names)
    found: dict[str, Range] = {}
    for values in passes.observe(watched, [name for both in names.values() for name in both]):
        for tensor, (least, largest) in names.items():
            low, high = float(values[least].min()), float(values[largest].max())
            known = found.get(tensor, Range(low=low, high=high))
            found[tensor] = Range(low=min(low, known.low), high=max(high, known.high))
    return found


def _watched(model: onnx.ModelProto, names: Mapping[str, tuple[str, str]]) -> onnx.ModelProto:
    """A graph that also gives the smallest and largest value of tensors, each right behind its producer.

    Args:
        names: tensor → names of the two values.
    """
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    watched.graph.ClearField("node")
    reductions = {
        tensor: [
            onnx.helper.make_node(kind, [tensor], [name], name=name, keepdims=0)
            for kind, name in zip(("ReduceMin", "ReduceMax"), both, strict=True)
        ]
        for tensor, both in names.items()
    }
    for port in model.graph.input:
        watched.graph.node.extend(reductions.pop(port.name, ()))
    for node in model.graph.node:
        watched.graph.node.append(node)
        for output in node.output:
            watched.graph.node.extend(reductions.pop(output, ()))
    return watched
