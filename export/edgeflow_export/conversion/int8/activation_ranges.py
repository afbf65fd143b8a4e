"""Ranges of what convolutions read, over all calibration parts: smallest to largest value, with headroom."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnxscript import optimizer

from edgeflow_export.conversion.int8.onnx_graph import OnnxGraph

__all__ = ["Observed", "Range", "find_ranges", "observe"]

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
    model: onnx.ModelProto, tensors: Sequence[str], parts: Iterable[npt.NDArray[np.generic]]
) -> dict[str, Range]:
    """Smallest and largest value of tensors over all parts.

    Both are found inside the graph, so that no tensor is kept as a whole.
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
    for values in observe(watched, [name for both in names.values() for name in both], parts):
        for tensor, (least, largest) in names.items():
            low, high = float(values[least].min()), float(values[largest].max())
            known = found.get(tensor, Range(low=low, high=high))
            found[tensor] = Range(low=min(low, known.low), high=max(high, known.high))
    return found


Observed = Mapping[str, npt.NDArray[np.float32]]


def observe(
    model: onnx.ModelProto, tensors: Sequence[str], parts: Iterable[npt.NDArray[np.generic]]
) -> Iterator[Observed]:
    """Values of tensors of a graph, part by part; what only other outputs need is not computed.

    By ONNX Runtime, which begins in a fraction of a second where OpenVINO compiles for seconds.
    """
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    OnnxGraph(shown).set_outputs(tensors)
    optimizer.remove_unused_nodes(shown)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 3
    session = ort.InferenceSession(shown.SerializeToString(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    for part in parts:
        yield dict(zip(tensors, session.run(list(tensors), {name: part}), strict=True))
